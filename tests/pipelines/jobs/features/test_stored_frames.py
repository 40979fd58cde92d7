"""Table `frames` through the job, validate, report and pack, and what is refused about it."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.commands.validate import find_problems
from pipelines.store.parquet import IMAGE_GROUP_BYTES, parquet_bytes
from schemas import Recipe, read_store_manifest, table_schema
from schemas.recipe import RECIPES
from tests.complaints import run_here, sentence
from tests.pipelines.conftest import Beam, make_clip

JOB = ("run", "features", "--dataset", "folder", "--extractors", "logmel,frames")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two films and a sound, with frames twice a second at 64 pixels."""
    from pipelines.cli import main

    folder = tmp_path_factory.mktemp("frames")
    (folder / "media").mkdir()
    make_clip(folder / "media" / "a.mp4", 2.0)
    make_clip(folder / "media" / "b.mp4", 1.0)
    make_clip(folder / "media" / "heard.wav", 1.0, video=False)
    words = (*JOB, "--media", folder / "media", "--out", folder / "out", "--weights", "seeded")
    said = run_here(main, *words, "--frames-side", 64, "--frames-rate", 2)
    assert said.returncode == 0, said.stderr
    return folder / "out"


@pytest.fixture
def store(done: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(done, tmp_path / "store"))


def rows_of(store: Path) -> list[dict[str, Any]]:
    paths = read_store_manifest(store).paths("frames")
    table = pa.concat_tables([pq.read_table(path) for path in paths])
    return table.sort_by([("clip_key", "ascending"), ("frame_index", "ascending")]).to_pylist()


def problems(store: Path, change: Callable[[pa.Table], pa.Table]) -> str:
    (path,) = read_store_manifest(store).paths("frames")
    pq.write_table(change(pq.read_table(path)), path)
    return "\n".join(find_problems(read_store_manifest(store)))


def spoiled(image: Callable[[bytes], bytes]) -> Callable[[pa.Table], pa.Table]:
    """Return the change that spoils the first image."""

    def change(table: pa.Table) -> pa.Table:
        first, *others = table["image"].to_pylist()
        place = table.schema.get_field_index("image")
        images = pa.array([image(first), *others], pa.binary())
        return table.set_column(place, table.schema.field(place), images)

    return change


def test_frames_of_each_second_are_in_the_table(done: Path) -> None:
    rows = rows_of(done)
    assert [(row["clip_key"], row["frame_index"]) for row in rows] == [
        ("a", 2), ("a", 6), ("a", 10), ("a", 14), ("b", 2), ("b", 6)
    ]  # fmt: skip
    for row in rows:
        image = Image.open(io.BytesIO(row["image"]))
        assert (image.format, image.size) == ("JPEG", (85, 64))
        assert (row["width"], row["height"]) == (85, 64)
        assert row["snippet_index"] == row["frame_index"] // 8
    recipe = read_store_manifest(done).data["recipe"]
    assert {name: recipe[name] for name in recipe if name.startswith("frames_")} == {
        "frames_per_second": 8, "frames_format": "jpeg", "frames_side": 64, "frames_rate": 2
    }  # fmt: skip
    assert Recipe.from_json(recipe).frames_rate == 2


def test_validate_is_clean_and_the_report_shows_frames(store: Path, beam: Beam) -> None:
    assert beam("validate", store).returncode == 0
    assert beam("report", store).returncode == 0
    page = (store / "report.html").read_text()
    assert "6 as jpeg, 2 a second, shorter side 64 pixels at most" in page
    assert page.count("data:image/jpeg") == 6


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (lambda image: image[:-40], "is cut off"),
        (lambda image: b"no image", "is no image that can be read"),
        (lambda image: b"", "is empty"),
    ],
)
def test_validate_names_a_spoiled_image(
    store: Path, image: Callable[[bytes], bytes], said: str
) -> None:
    assert f"frame 2 of a {said}" in problems(store, spoiled(image))


def test_validate_names_images_of_another_size_and_clips_without_any(store: Path) -> None:
    def wider(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("width")
        return table.set_column(place, "width", pa.array([99] * len(table), pa.int32()))

    found = problems(store, wider)
    assert "frame 2 of a is 85x64, its row says 99x64" in found
    assert "3 more images are not what their rows say" in found
    only_a = problems(store, lambda table: table.slice(0, 4))
    assert "b: has_video is True, frames says otherwise" in only_a


def test_pack_keeps_every_image(store: Path, beam: Beam) -> None:
    before = rows_of(store)
    assert beam("run", "pack", "--out", store).returncode == 0
    assert rows_of(store) == before
    assert beam("validate", store).returncode == 0


def test_row_groups_of_images_are_small() -> None:
    schema = table_schema("frames", RECIPES["llp-eccv20"])
    count = 40
    columns = {
        "clip_key": ["a"] * count, "snippet_index": range(count), "frame_index": range(count),
        "width": [1] * count, "height": [1] * count, "image": [bytes(2**19)] * count,
    }  # fmt: skip
    file = pq.ParquetFile(io.BytesIO(parquet_bytes(pa.table(columns, schema))))
    assert file.num_row_groups >= count * 2**19 // IMAGE_GROUP_BYTES
    assert file.metadata.num_rows == count


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--extractors", "logmel", "--frames-side", "64"), "--frames-side says how extractor"),
        ((*JOB[4:], "--frames-rate", "3"), "take 1 or 2 or 4 or 8"),
        ((*JOB[4:], "--frames-rate", "8", "--recipe", "quick"), "take 1"),
        ((*JOB[4:], "--frames-side", "8"), "--frames-side is 8; it must be"),
        ((*JOB[4:], "--frames-format", "png"), "invalid choice 'png'"),
    ],
)
def test_impossible_frames_are_refused(
    beam: Beam, media: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    out = tmp_path / "out"
    assert said in sentence(beam(*JOB[:4], "--media", media, "--out", out, *words), 2)
    assert not out.exists()


def test_a_store_keeps_to_its_frames(store: Path, beam: Beam) -> None:
    words = (*JOB, "--media", store.parent, "--out", store, "--weights", "seeded")
    media = make_clip(store.parent / "a.mp4", 1.0)
    said = sentence(beam(*words, "--frames-side", 128, "--frames-rate", 2), 2)
    assert "frames_side 64 (now 128)" in said
    assert media.is_file()


def test_plan_counts_the_bytes_of_frames(beam: Beam, tmp_path: Path) -> None:
    lines = "".join(f"clip{index:07d}_0_10\tDog\n" for index in range(100))
    for name in ("AVVP_train", "AVVP_val_pd", "AVVP_test_pd"):
        (tmp_path / f"{name}.csv").write_text(f"filename\tevent_labels\n{lines}")
    words = ("plan", "--dataset", "llp", "--annotations", tmp_path, "--split", "train")
    said = beam(*words, "--extractors", "frames", "--frames-rate", 4, "--frames-side", 128)
    assert said.returncode == 0, said.stderr
    assert "0.02 GB before compression, jpeg, about" in said.stdout  # 100 x 40 x 5.5 kB
