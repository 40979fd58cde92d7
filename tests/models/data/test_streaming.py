"""Streaming from shards, drawing classes evenly, folds, and splits of no use."""

import json
import logging
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models import train
from models.data import splits
from models.data.clips import open_clips
from models.data.sampling import balanced, mix_parts
from models.data.streaming import clips as streaming
from models.data.streaming.clips import (
    AHEAD,
    StreamedClips,
    open_data,
    open_stream,
    read_ahead,
)
from models.data.streaming.readers import ClipReader, Reader
from models.data.streaming.row_groups import Part, read_part
from models.nets.tagging import fayek_visual
from pipelines.commands.validate import find_problems
from pipelines.jobs.pack.pack import finish, pack, plan
from pipelines.store.feature_store import FeatureStore
from schemas import UsageError, read_store_manifest
from tests.stores.tagging import CLASSES, write_tagging_store
from tests.stores.writer import RECIPE

CONFIG = fayek_visual.Config(classes=len(CLASSES), batch_size=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tagging_store(tmp_path_factory.mktemp("streaming") / "store", parts=12)


def stream(store: Path, workers: int = 0, buffer_clips: int = 16) -> StreamedClips:
    return open_stream(store, ("logmel", "r2plus1d"), buffer_clips=buffer_clips, workers=workers)


def test_streamed_clips_are_those_held_in_memory(store: Path) -> None:
    held, streamed = open_clips(store, ("logmel", "r2plus1d")), stream(store)
    rows = torch.randperm(len(held.keys), generator=torch.Generator().manual_seed(0))
    one, other = held.batch(rows), streamed.batch(rows)
    assert streamed.keys == held.keys
    assert torch.equal(one.labels, other.labels)
    for name in ("logmel", "r2plus1d"):
        assert torch.equal(one.features[name], other.features[name])
        assert torch.equal(one.present[name], other.present[name])
        assert streamed.shape(name) == held.shape(name)


def test_log_mel_in_half_precision_is_that_in_full_rounded(store: Path, tmp_path: Path) -> None:
    half = write_tagging_store(
        tmp_path / "half", parts=12, recipe=RECIPE.with_(logmel_type="float16")
    )
    assert list(find_problems(read_store_manifest(half))) == []
    full, held = (open_clips(root, ("logmel",)) for root in (store, half))
    streamed = open_stream(half, ("logmel",))
    rows = torch.randperm(len(full.keys), generator=torch.Generator().manual_seed(0))
    there = full.batch(rows).features["logmel"]
    for clips in (held, streamed):
        found = clips.batch(rows).features["logmel"]
        assert found.dtype == torch.float32
        assert torch.equal(found, there.half().float())


def test_shards_are_read_row_group_by_row_group(store: Path, tmp_path: Path) -> None:
    packed = shutil.copytree(store, tmp_path / "packed")
    shards = FeatureStore(str(packed), RECIPE.with_(extractors=("logmel", "resnet152", "r2plus1d")))
    (shard,) = plan(shards, 2**30)
    pack(shards, shard, row_group_bytes=2**19)
    finish(shards, keep_parts=False)
    data = stream(packed)
    assert len({part.path for part in data.parts}) == 1
    assert len(data.parts) > 5
    rows = torch.randperm(len(data.keys), generator=torch.Generator().manual_seed(0))
    there = stream(store).batch(rows).features["logmel"]
    assert torch.equal(data.batch(rows).features["logmel"], there)


def test_a_clip_in_two_row_groups_is_read_whole(store: Path, tmp_path: Path) -> None:
    split = shutil.copytree(store, tmp_path / "split")
    for path in sorted((split / "snippets").glob("*.parquet")):
        pq.write_table(pq.read_table(path), path, row_group_size=3)
    data, whole = stream(split), stream(store)
    assert [len(part.groups) > 1 for part in data.parts] == [True] * 12
    rows = torch.arange(len(data.keys))
    assert torch.equal(
        data.batch(rows).features["r2plus1d"], whole.batch(rows).features["r2plus1d"]
    )


def test_an_epoch_has_every_training_clip_once_in_another_order(store: Path) -> None:
    data = stream(store)
    orders = [data.order(CONFIG, epoch) for epoch in (1, 2, 1)]
    for order in orders:
        assert torch.equal(order.sort().values, data.rows("train"))
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[0].sort().values)


class CountingReader(Reader):
    """A reader that writes down which parts it reads."""

    def __init__(self, reader: ClipReader) -> None:
        assert isinstance(reader, Reader)
        super().__init__(**{name: value for name, value in vars(reader).items() if name != "held"})
        self.read_parts: list[int] = []

    def read_part(self, part: int) -> Any:
        self.read_parts.append(part)
        return super().read_part(part)


def test_each_part_is_read_once_per_epoch_and_few_are_held(store: Path) -> None:
    data = stream(store)
    reader = CountingReader(data.reader)
    data = replace(data, reader=reader)
    most = 0
    for chunk in data.order(CONFIG, 1).split(4):  # type: ignore[no-untyped-call]
        data.batch(chunk)
        most = max(most, reader.clips_held())
    parts = reader.read_parts
    assert len(parts) == len(set(parts)) == 7  # 48 training clips, 88 in all, in 12 files
    assert most <= 2 * 16


def test_reader_drops_the_part_that_was_not_used_for_longest(store: Path) -> None:
    data = stream(store)
    reader = CountingReader(data.reader)
    reader.most = 2 * max(np.bincount(data.part_of))
    first_rows = [int((data.part_of == part).argmax()) for part in range(3)]
    for part in (0, 1, 0, 2, 0):
        reader.read(torch.tensor([first_rows[part]]))
    assert reader.read_parts == [0, 1, 2]


def test_loaders_give_what_the_order_says_from_shards_of_their_own(store: Path) -> None:
    data = stream(store, workers=2)
    chunks = list(data.order(CONFIG, 1).split(4))  # type: ignore[no-untyped-call]
    for batch, chunk in zip(data.load(chunks), chunks, strict=True):
        assert torch.equal(batch.features["r2plus1d"], data.batch(chunk).features["r2plus1d"])
    full = [{int(data.part_of[row]) for row in chunk} for chunk in chunks[:8]]
    shared = set().union(*full[0::2]) & set().union(*full[1::2])
    assert not shared
    skipped = list(data.load(chunks[5:]))
    assert torch.equal(skipped[0].labels, data.batch(chunks[5]).labels)


def test_loader_holds_two_buffers_of_its_share_of_clips(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[list[int]] = []

    def noted(readers: Sequence[Reader], *given: Any, **more: Any) -> Any:
        held.append([reader.most for reader in readers])
        return read_ahead(readers, *given, **more)

    monkeypatch.setattr(streaming, "read_ahead", noted)
    for workers in (1, 2):
        next(iter(stream(store, workers, buffer_clips=12).load([torch.tensor([0, 1])])))
    assert held == [[24], [12, 12]]


def test_threads_read_some_batches_ahead_and_end_with_the_epoch(store: Path) -> None:
    data = stream(store, workers=2)
    readers = [CountingReader(data.reader) for _ in range(2)]
    rows = [torch.tensor([int((data.part_of == part).argmax())]) for part in range(12)] * 3
    before = threading.active_count()
    batches = read_ahead(readers, rows)
    next(batches)
    assert threading.active_count() == before + 2
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    read = [len(reader.read_parts) for reader in readers]
    assert 1 <= sum(read) <= 2 * AHEAD + 1


def test_loaders_share_the_buffer_within_which_an_epoch_is_shuffled(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[int, int] = {}
    for workers in (0, 1, 2, 99):
        with monkeypatch.context() as patch:
            noted = Mock(side_effect=mix_parts)
            patch.setattr(streaming, "mix_parts", noted)
            stream(store, workers, buffer_clips=16).order(CONFIG, 1)
        (sizes[workers],) = {call.args[2] for call in noted.call_args_list}
    assert sizes == {0: 16, 1: 16, 2: 8, 99: 1}


def test_processes_get_equal_shares_of_different_parts(store: Path) -> None:
    data = stream(store)
    order = data.shared_order(CONFIG, 1, processes=2)
    shares = [set(data.part_of[order[rank::2].numpy()].tolist()) for rank in (0, 1)]
    assert not shares[0] & shares[1]
    assert len(order) >= 40
    assert len(set(order.tolist())) == len(order)


def test_training_from_a_stream_learns(store: Path, tmp_path: Path) -> None:
    given = ["r2plus1d_101-probe", "--features", str(store), "--stream", "yes", "--epochs", "20"]
    train.main([*given, "--run", str(tmp_path), "--buffer-clips", "16", "--learning-rate", "0.01"])
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["metrics"]["test"]["map"] > 0.6
    assert found["history"][-1]["total"] < 0.8 * found["history"][0]["total"]
    assert not any("stream" in one for one in found["caveats"])


def test_large_stores_are_streamed_by_themselves(store: Path) -> None:
    assert not isinstance(open_data(store, ("r2plus1d",), None, CONFIG), StreamedClips)
    assert isinstance(open_data(store, ("r2plus1d",), None, CONFIG, 1000), StreamedClips)
    never = replace(CONFIG, stream="no")
    assert not isinstance(open_data(store, ("r2plus1d",), None, never, 1000), StreamedClips)


def test_damaged_shards_are_refused_in_a_sentence(tmp_path: Path) -> None:
    store = write_tagging_store(tmp_path / "store", features=("r2plus1d",))
    path = store / "snippets" / "part-000001.parquet"
    rows = pq.read_table(path)
    names = ("r2plus1d",)
    values = rows["r2plus1d"].to_pylist()
    values[3][7] = float("nan")
    place = rows.schema.get_field_index("r2plus1d")
    field = rows.schema.field("r2plus1d")
    pq.write_table(rows.set_column(place, field, pa.array(values, field.type)), path)
    data = open_stream(store, names)
    with pytest.raises(UsageError, match="has a value of r2plus1d that is not finite"):
        list(data.batches(torch.arange(len(data.keys)), 8))
    with pytest.raises(UsageError, match=r"is not finite; run .* again$") as caught:
        list(replace(data, workers=1).load([torch.arange(len(data.keys))]))
    assert "Traceback" not in str(caught.value)
    pq.write_table(rows, store / "snippets" / "part-000000.parquet")
    with pytest.raises(UsageError, match="is in another file too; run `beam validate`"):
        open_stream(store, names)
    pq.write_table(rows.drop_columns(["resnet152"]), path)
    with pytest.raises(UsageError, match="has no feature 'resnet152'"):
        read_part(Part(path, (0,)), ("resnet152",), 2)


def test_drawing_evenly_lifts_rare_classes() -> None:
    labels = torch.zeros(1000, 3)
    labels[:900, 0] = 1
    labels[900:990, 1] = 1
    labels[990:, 2] = 1
    rows = torch.arange(1000)
    drawn = [balanced(rows, labels, 1, epoch) for epoch in range(20)]
    counts = torch.stack([labels[one].sum(dim=0) for one in drawn]).mean(dim=0).tolist()
    assert counts[:2] == pytest.approx([333, 333], rel=0.05)  # a third of 1000 each
    assert counts[2] == 200  # a clip comes up 20 times at most
    assert torch.equal(balanced(rows, labels, 1, 3), drawn[3])


def test_folds_are_the_stores_own_splits_or_even_parts(store: Path) -> None:
    data = open_clips(store, ())
    own = dict(splits.folds(data, 3))
    assert sorted(own) == ["test", "train", "val"]
    assert (own["val"].splits == "test").sum() == 16
    one_label = replace(data, labels=torch.eye(len(CLASSES))[torch.arange(len(data.keys)) % 6])
    dealt = [part for _, part in splits.folds(one_label, 4)]
    tested = np.stack([part.splits == "test" for part in dealt])
    assert (tested.sum(axis=0) == 1).all()
    for part in dealt:
        counts = one_label.labels[part.rows("test")].sum(dim=0)
        assert counts.max() - counts.min() <= 1
        assert (part.splits != "").all()
    with pytest.raises(UsageError, match="has 88 labelled clips, too few for 100 folds"):
        list(splits.folds(data, 100))


def test_folds_leave_out_clips_without_labels_and_have_no_dense_truth(
    store: Path, small_store: Path
) -> None:
    data = open_clips(store, ())
    data.labels[[2, 5]] = 0.0
    for _, part in splits.folds(data, 4):
        assert [str(name) for name in part.splits[[2, 5]]] == ["", ""]
        assert set(part.splits.tolist()) == {"train", "test", ""}
    dense = open_clips(small_store, ("vggish",))
    assert dense.dense_splits == {"val", "test"}
    assert all(not part.dense_splits for _, part in splits.folds(dense, 3))


def test_validation_clips_are_held_out_of_large_sets_alone(store: Path) -> None:
    data = open_clips(store, ())
    without = replace(data, splits=np.where(data.splits == "val", "train", data.splits))
    assert splits.hold_out(without) is without
    held = splits.hold_out(without, at_least=10)
    assert (held.splits == "val").sum() == int(0.05 * 64)
    np.testing.assert_array_equal(held.splits, splits.hold_out(without, at_least=10).splits)
    assert splits.hold_out(data, at_least=10) is data


def test_one_class_is_refused_and_missing_classes_are_named(
    store: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    data = open_clips(store, ())
    labels = data.labels.clone()
    labels[:, 1:] = 0
    labels[:, 0] = 1
    with pytest.raises(UsageError, match=r"split 'train' of .* shows the class 'Bell' alone"):
        splits.refuse_hopeless(replace(data, labels=labels))
    with pytest.raises(UsageError, match="shows no class at all"):
        splits.refuse_hopeless(replace(data, labels=torch.zeros_like(labels)))
    two = data.labels.clone()
    two[:, 2] = 0
    with caplog.at_level(logging.WARNING):
        splits.refuse_hopeless(replace(data, labels=two))
    assert "1 of 6 classes have no clip in split 'train' (Engine): they are not" in caplog.text


def test_split_of_one_class_has_no_ranking_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = write_tagging_store(tmp_path / "store", features=("r2plus1d",), test=1, labels=1)
    given = [
        "r2plus1d_101-probe",
        "--features",
        str(store),
        "--epochs",
        "2",
        "--run",
        str(tmp_path),
    ]
    with caplog.at_level(logging.WARNING):
        train.main(given)
    assert "split 'test' tells no two classes apart" in caplog.text
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["metrics"]["test"]["map"] is None  # one clip: no class has both kinds
    assert found["classes"]["test"]["auc"] == dict.fromkeys(CLASSES)


def test_large_parts_of_several_splits_are_read_once_per_epoch(tmp_path: Path) -> None:
    """A buffer counts the clips that its parts hold, not only those of the split."""
    root = write_tagging_store(
        tmp_path / "store", train=12, val=36, test=48, parts=6, features=("r2plus1d",)
    )
    shuffled = json.loads((root / "manifest.json").read_text())
    clips = [pq.read_table(root / path) for path in shuffled["tables"]["snippets"]]
    order = np.random.default_rng(0).permutation(96)
    rows = pa.concat_tables(clips).take(np.stack([2 * order, 2 * order + 1], 1).reshape(-1))
    for place, path in enumerate(shuffled["tables"]["snippets"]):
        pq.write_table(rows.slice(32 * place, 32), root / path)
    data = open_stream(root, ("r2plus1d",), buffer_clips=16)
    reader = CountingReader(data.reader)
    data = replace(data, reader=reader)
    for _ in data.load(list(data.order(CONFIG, 1).split(4))):  # type: ignore[no-untyped-call]
        pass
    assert len(reader.read_parts) == len(set(reader.read_parts)) > 0


def test_labels_that_a_method_drops_come_with_the_batch(store: Path) -> None:
    audio = torch.zeros(88, len(CLASSES), dtype=torch.bool)
    audio[3, 2] = True
    rows = torch.tensor([3, 5])
    for data in (open_clips(store, ("r2plus1d",)), stream(store)):
        batch = data.without(audio, ~audio).batch(rows)
        assert batch.dropped_audio is not None
        assert batch.dropped_visual is not None
        assert torch.equal(batch.dropped_audio, audio[rows])
        assert torch.equal(batch.dropped_visual, ~audio[rows])
        assert data.batch(rows).dropped_audio is None
