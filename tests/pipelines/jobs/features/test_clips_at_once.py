"""Several clips of a unit in the nets at once: same order, same tables, few frames held."""

import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from extractors.base import Extractor, Features
from pipelines.jobs.features.worker import Runtime
from pipelines.store.progress import PROGRESS_FILE
from schemas import ClipMedia, UsageError
from tests.pipelines.conftest import make_clip
from tests.pipelines.jobs.features.test_worker import Counting, do, task_of, work


def test_clips_are_in_the_nets_at_once_and_stay_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, extract = threading.Barrier(2), Counting.extract

    def meet(self: Counting, media: ClipMedia) -> Features | None:
        together.wait(20)
        return extract(self, media)

    monkeypatch.setattr(Counting, "extract", meet)
    names = ["a", "bug b", "c", "nan d"]
    receipt, _ = work(tmp_path, names, runtime=Runtime(clips_at_once=2))
    assert receipt.done == ("a", "c")
    assert [failed.clip_key for failed in receipt.failed] == ["bug b", "nan d"]
    assert receipt.provenance["torch_threads"] == "1"
    assert (tmp_path / "out" / PROGRESS_FILE).read_bytes() == b"...."


def test_clips_at_once_leave_the_tables_of_one_at_a_time(tmp_path: Path) -> None:
    parts = []
    for at_once in (1, 3):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        names = ["a", "b", "bug", "c", "d"]
        receipt, _ = work(folder, names, runtime=Runtime(clips_at_once=at_once))
        parts.append([pq.read_table(folder / "out" / part) for part in receipt.parts.values()])
        assert receipt.seconds.keys() - {"warm-up"} <= {"decode", "resnet152", "write"}
    assert parts[0] == parts[1]


def test_clips_at_once_hold_so_many_frames_and_those_of_the_decoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    most: list[int] = []
    monkeypatch.setattr(
        Counting, "extract", lambda *_: most.append(len(list(scratch.rglob("frames.images"))))
    )
    work(tmp_path, ["a", "b", "c", "d", "e", "f"], runtime=Runtime(clips_at_once=3))
    assert max(most) <= 3 + 1
    assert not list(scratch.iterdir())


def test_what_ends_a_job_ends_the_unit_early(tmp_path: Path) -> None:
    tasks = [task_of(make_clip(tmp_path / f"{name}.mp4", 2.0)) for name in "abcdef"]
    tried: list[int] = []

    def load() -> dict[str, Extractor]:
        tried.append(1)
        raise UsageError("the weights are gone")

    with pytest.raises(UsageError, match="gone"):
        do(tmp_path, tasks, load=load, runtime=Runtime(clips_at_once=2))
    assert len(tried) < len(tasks)
    assert not list((tmp_path / "out").rglob("*.parquet"))
