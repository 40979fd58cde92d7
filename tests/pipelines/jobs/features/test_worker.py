"""The work on one unit, with extractors that do what the test wants."""

import errno
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest

from extractors.base import Extractor, Features
from pipelines.jobs.features.worker import Runtime, UnitWorker
from pipelines.media.decode import decode
from pipelines.media.media_index import MediaFile
from pipelines.store.feature_store import FeatureStore
from pipelines.store.progress import PROGRESS_FILE
from pipelines.store.receipts import Receipt
from pipelines.store.units import ClipTask, Unit
from schemas import RECIPES, Clip, ClipMedia, JobError, KnownError, Reason, Recipe, tensor_values
from tests.pipelines.conftest import make_clip

RECIPE = RECIPES["llp-eccv20"].with_(extractors=("resnet152",), weights="seeded:0")


class Counting:
    """Gives each frame's number, or fails for a clip whose name says so."""

    provenance: Mapping[str, str] = {"counting": "seeded:0"}

    def __init__(self, recipe: Recipe) -> None:
        self.keep = recipe.resnet152_frames == "keep"
        self.calls = 0

    def extract(self, media: ClipMedia) -> Features | None:
        self.calls += 1
        if "nan" in media.clip_key:
            raise KnownError(Reason.NOT_FINITE, "1 % of the numbers are infinite or undefined")
        if "bug" in media.clip_key:
            raise ZeroDivisionError("a bug")
        frames = np.arange(media.n_snippets * 8, dtype=np.float32).reshape(-1, 8, 1)
        values = np.broadcast_to(frames, (media.n_snippets, 8, 2048))
        return values.copy() if self.keep else values.mean(axis=1)


def work(folder: Path, names: list[str], recipe: Recipe = RECIPE) -> tuple[Receipt, Counting]:
    extractor = Counting(recipe)
    worker = UnitWorker(
        FeatureStore(str(folder / "out")),
        recipe,
        Runtime(),
        lambda: {"resnet152": cast(Extractor, extractor)},
    )
    (folder / "out").mkdir(exist_ok=True)
    tasks = [
        ClipTask(
            Clip(name, 0.0, 3.0, name=name),
            MediaFile(str(make_clip(folder / f"{name}.mp4", 2.0)), cut=True),
            1,
        )
        for name in names
    ]
    return worker.do(Unit.of(tuple(tasks))), extractor


def test_numbers_that_are_not_finite_are_a_failure_not_a_row(tmp_path: Path) -> None:
    receipt, _ = work(tmp_path, ["good", "nan"])
    assert receipt.done == ("good",)
    (failure,) = receipt.failed
    assert (failure.reason, failure.step) == (Reason.NOT_FINITE, "extract")
    assert receipt.rows["clips"] == 1


def test_bug_stops_the_job_and_commits_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        work(tmp_path, ["good", "bug"])
    assert not list((tmp_path / "out").rglob("*.parquet"))
    assert not list((tmp_path / "out").rglob("*.json"))


def test_committed_unit_is_not_done_again(tmp_path: Path) -> None:
    first, extractor = work(tmp_path, ["good"])
    assert extractor.calls == 1
    second, extractor = work(tmp_path, ["good"])
    assert extractor.calls == 0
    assert second == first


@pytest.mark.parametrize(("frames", "shape"), [("mean", (2048,)), ("keep", (8, 2048))])
def test_absent_second_is_null(tmp_path: Path, frames: str, shape: tuple[int, ...]) -> None:
    receipt, _ = work(tmp_path, ["short"], RECIPE.with_(resnet152_frames=frames))
    table = pq.read_table(tmp_path / "out" / receipt.parts["snippets"])
    assert table["valid"].to_pylist() == [True, True, False]
    values, present = tensor_values(table["resnet152"].combine_chunks(), shape)
    assert present.tolist() == [True, True, False]
    assert values[1].mean() == pytest.approx(11.5)
    assert table["vggish"].null_count == 3


def test_short_file_of_a_repeated_video_is_ambiguous(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "video.mp4", 2.0)
    task = ClipTask(
        Clip("video", 30.0, 32.0), MediaFile(str(path), cut=False), 1, shared_video=True
    )
    worker = UnitWorker(FeatureStore(str(tmp_path / "out")), RECIPE, Runtime(), dict)
    (tmp_path / "out").mkdir()
    (failure,) = worker.do(Unit.of((task,))).failed
    assert failure.reason is Reason.NOT_FOUND
    assert "name the file video_30_32.mp4" in failure.detail


def test_file_that_vanishes_is_not_found(tmp_path: Path) -> None:
    task = ClipTask(Clip("x", 0.0, 3.0), MediaFile(str(tmp_path / "x.mp4"), cut=True), 1)
    worker = UnitWorker(FeatureStore(str(tmp_path / "out")), RECIPE, Runtime(), dict)
    (failure,) = worker.do(Unit.of((task,))).failed
    assert (failure.step, failure.reason) == ("find", Reason.NOT_FOUND)


def test_progress_that_cannot_be_written_hurts_nothing(tmp_path: Path) -> None:
    (tmp_path / "out" / PROGRESS_FILE).mkdir(parents=True)
    receipt, _ = work(tmp_path, ["good"])
    assert receipt.done == ("good",)


def test_full_scratch_disk_stops_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipelines.jobs.features.worker.decode", full)
    with pytest.raises(JobError, match="no room for temporary files"):
        work(tmp_path, ["good"])


def test_scratch_disk_without_room_for_a_folder_stops_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(JobError, match=r"no room for temporary files.*Read-only"):
        work(tmp_path, ["good"])


def test_files_of_a_clip_that_fails_are_removed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    left: list[int] = []

    def fail(path: Path, clip: Clip, *rest: Any) -> ClipMedia:
        left.append(len([p for p in scratch.rglob("*") if p.name == "half-done"]))
        (rest[3] / "half-done").write_bytes(b"x")
        raise KnownError(Reason.CORRUPT, "broken")

    monkeypatch.setattr("pipelines.jobs.features.worker.decode", fail)
    receipt, _ = work(tmp_path, ["a", "b", "c"])
    assert [one.reason for one in receipt.failed] == [Reason.CORRUPT] * 3
    assert left == [0, 0, 0]


def test_next_clip_is_decoded_while_one_is_in_the_nets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    second_is_ready = threading.Event()

    def decode_and_tell(path: Path, *rest: Any) -> ClipMedia:
        media = decode(path, *rest)
        decoded.append(path.stem)
        if len(decoded) == 2:
            second_is_ready.set()
        return media

    def wait(self: Counting, media: ClipMedia) -> None:
        assert second_is_ready.wait(20)

    monkeypatch.setattr("pipelines.jobs.features.worker.decode", decode_and_tell)
    monkeypatch.setattr(Counting, "extract", wait)
    receipt, _ = work(tmp_path, ["a", "b", "c"])
    assert receipt.done == ("a", "b", "c")
    assert decoded == ["a", "b", "c"]


def test_frames_of_a_finished_clip_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    most: list[int] = []
    monkeypatch.setattr(
        Counting, "extract", lambda *_: most.append(len(list(scratch.rglob("frames.images"))))
    )
    work(tmp_path, ["a", "b", "c", "d", "e"])
    assert max(most) <= 2
    assert not list(scratch.iterdir())
