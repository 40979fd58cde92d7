"""Stored frames as batches: views, what is drawn, processes, damage."""

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from models import train
from models.contract.config import PixelConfig
from models.data.pixels import CENTRE, JITTER, Cut, PixelClips, view_starts
from models.data.streaming.clips import open_data
from schemas import UsageError, read_store_manifest
from tests.stores.tagging import FRAME, write_tagging_store

CONFIG = PixelConfig(side=32, clip_frames=4, views=3, workers=0, batch_size=6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pixels") / "store"
    return write_tagging_store(
        folder, train=10, val=4, test=4, seconds=1, features=("logmel",), frames=True
    )


def opened(
    store: Path, needs: Sequence[str] = ("frames",), config: PixelConfig = CONFIG
) -> PixelClips:
    data = open_data(store, needs, None, config)
    assert isinstance(data, PixelClips)
    return data


def drawn(data: PixelClips, epoch: int) -> torch.Tensor:
    chunks = list(data.rows("train").split(4))  # type: ignore[no-untyped-call]
    return torch.cat([batch.features["frames"] for batch in data.load(chunks, epoch)])


def test_views_of_evaluation_are_the_middle_of_the_frames_spread_over_the_clip(store: Path) -> None:
    data = opened(store)
    batch = data.batch(torch.tensor([2]))
    assert batch.features["frames"].shape == (1, 3, 4, 32, 32, 3)
    assert batch.features["frames"].dtype == torch.uint8
    assert batch.present["frames"].tolist() == [[True] * 3]
    table = pa.concat_tables([pq.read_table(path) for path in data.reader.paths])
    own = table.filter(pa.compute.equal(table["clip_key"], data.keys[2]))["image"].to_pylist()
    length = CENTRE * FRAME[0]
    left, top = (FRAME[1] - length) / 2, (FRAME[0] - length) / 2
    for view, start in enumerate(view_starts(8, 4, 3)):
        for step in range(4):
            image = Image.open(io.BytesIO(own[start + step]))
            box = (left, top, left + length, top + length)
            wanted = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR, box=box))
            np.testing.assert_array_equal(batch.features["frames"][0, view, step], wanted)


def test_training_views_change_with_the_epoch_and_with_nothing_else(store: Path) -> None:
    first = drawn(opened(store), epoch=1)
    assert first.shape == (10, 1, 4, 32, 32, 3)
    assert torch.equal(first, drawn(opened(store), epoch=1))
    assert not torch.equal(first, drawn(opened(store), epoch=2))
    two = PixelConfig(**{**CONFIG.to_json(), "workers": 2})
    assert torch.equal(first, drawn(opened(store, config=two), epoch=1))
    other = PixelConfig(**{**CONFIG.to_json(), "seed": 2})
    assert not torch.equal(first, drawn(opened(store, config=other), epoch=1))


def test_a_training_that_goes_on_sees_the_views_that_it_would_have_seen(store: Path) -> None:
    data = opened(store)
    chunks = list(data.rows("train").split(4))  # type: ignore[no-untyped-call]
    whole = [batch.features["frames"] for batch in data.load(chunks, 3)]
    rest = [batch.features["frames"] for batch in data.load(chunks[1:], 3)]
    assert all(map(torch.equal, whole[1:], rest))


def test_drawn_squares_keep_to_the_jitter_and_half_are_mirrored() -> None:
    cuts = [Cut.drawn(np.random.default_rng(seed)) for seed in range(400)]
    shares = [cut.share for cut in cuts]
    assert JITTER[0] <= min(shares) < 0.72 < 0.86 < max(shares) <= JITTER[1]
    assert 150 < sum(cut.mirrored for cut in cuts) < 250
    assert all(0 <= place <= 1 for cut in cuts for place in (cut.across, cut.down))


def test_square_lies_where_it_was_drawn_and_may_be_mirrored() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None] * 3, (32, 1, 3))
    image = Image.fromarray(ramp)
    left, right = (Cut(0.5, across, 0.5).of(image, 16) for across in (0.0, 1.0))
    assert left[0, 0, 0] == 0
    assert right[0, -1, 0] == 63 * 3
    mirrored = Cut(0.5, 0.0, 0.5, mirrored=True).of(image, 16)
    np.testing.assert_array_equal(mirrored, left[:, ::-1])


def test_short_clips_repeat_their_last_frame(store: Path) -> None:
    long = PixelConfig(**{**CONFIG.to_json(), "clip_frames": 12, "views": 1})
    frames = opened(store, config=long).batch(torch.tensor([0])).features["frames"][0, 0]
    assert torch.equal(frames[7], frames[11])
    assert not torch.equal(frames[6], frames[7])


def test_other_features_come_along_in_the_same_order(store: Path) -> None:
    data = opened(store, ("logmel", "frames"))
    rows = data.order(CONFIG, 1)
    alone = open_data(store, ("logmel",), None, CONFIG)
    assert torch.equal(rows, alone.order(CONFIG, 1))
    for batch, chunk in zip(data.load([rows[:4], rows[4:]], 1), (rows[:4], rows[4:]), strict=True):
        wanted = alone.batch(chunk)
        assert torch.equal(batch.features["logmel"], wanted.features["logmel"])
        assert torch.equal(batch.labels, wanted.labels)
        assert set(batch.features) == {"logmel", "frames"}


def test_evaluation_goes_in_few_clips(store: Path) -> None:
    sizes = [len(batch.labels) for batch in opened(store).batches(torch.arange(5), 64)]
    assert sizes == [2, 2, 1]  # six clips of a training batch, three views each


def test_clips_without_frames_are_blank_and_a_store_without_any_is_refused(
    store: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(store, tmp_path / "copy"))
    spoil(copy, lambda table: table.filter(pa.compute.not_equal(table["clip_key"], KEY)))
    data = opened(copy)
    row = data.keys.index(KEY)
    batch = data.batch(torch.tensor([row]))
    assert not batch.present["frames"].any()
    assert not batch.features["frames"].any()
    assert data.having("frames").sum() == len(data.keys) - 1
    bare = write_tagging_store(tmp_path / "bare", train=4, val=2, test=2, features=("logmel",))
    with pytest.raises(UsageError, match="has no feature 'frames' in any clip; run the features"):
        opened(bare)


KEY = "train00001_0_1"


def spoil(store: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    for path in read_store_manifest(store).paths("frames"):
        pq.write_table(change(pq.read_table(path)), path)


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_image_is_one_sentence_also_from_a_process(
    store: Path, tmp_path: Path, workers: int
) -> None:
    def cut_off(table: pa.Table) -> pa.Table:
        columns = (table[name].to_pylist() for name in ("clip_key", "image"))
        images = [image[:60] if key == KEY else image for key, image in zip(*columns, strict=True)]
        return table.set_column(table.num_columns - 1, "image", pa.array(images, pa.binary()))

    copy = Path(shutil.copytree(store, tmp_path / "copy"))
    spoil(copy, cut_off)
    data = opened(copy, config=PixelConfig(**{**CONFIG.to_json(), "workers": workers}))
    with pytest.raises(UsageError, match=rf"stored frame \d of clip {KEY} cannot be read") as said:
        drawn(data, epoch=1)
    assert "\n" not in str(said.value)


def test_small_frames_are_enlarged_with_a_warning(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened(store, config=PixelConfig(**{**CONFIG.to_json(), "side": 64}))
    assert "shorter side of 36 pixels and are enlarged to squares of 64" in caplog.text


def test_probe_and_pixels_ask_for_their_own_extractor(store: Path, tmp_path: Path) -> None:
    for name, extractor in (("r2plus1d_101-probe", "r2plus1d"), ("g_blend-probe", "r2plus1d")):
        with pytest.raises(UsageError, match=f"with extractor {extractor}"):
            train.main([name, "--features", str(store), "--run", str(tmp_path / "run")])
