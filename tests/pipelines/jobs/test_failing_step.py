"""A job that stops in the middle of a unit leaves no process and no scratch folder behind."""

from pathlib import Path

import psutil
import pytest

from pipelines.store.unit_store import UnitStore
from schemas import JobError
from tests.pipelines.conftest import Beam, make_clip


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip, and a store that cannot be written once the work on it is done."""

    def refuse(*_: object, **__: object) -> None:
        raise JobError("the disk is full")

    monkeypatch.setattr(UnitStore, "commit", refuse)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    (tmp_path / "media").mkdir()
    make_clip(tmp_path / "media" / "a.mp4", 1.0)
    return tmp_path / "media"


def children(module: str) -> list[psutil.Process]:
    every = psutil.Process().children(recursive=True)
    return [process for process in every if module in process.cmdline()]


def test_features(media: Path, beam: Beam) -> None:
    job = ("run", "features", "--dataset", "folder", "--media", media, "--out", media.parent / "o")
    done = beam(*job, "--extractors", "logmel", "--weights", "seeded")
    assert (done.returncode, "the disk is full" in done.stderr) == (1, True)
    assert not children("pipelines.media.reader_process")
    assert not list((media.parent / "scratch").glob("earsight-*"))


def test_download(media: Path, beam: Beam) -> None:
    out = media.parent / "store"
    done = beam("run", "download", "--dataset", "folder", "--source", media, "--media", out)
    assert (done.returncode, "the disk is full" in done.stderr) == (1, True)
    assert not children("pipelines.jobs.download.fetch.process")
    assert not list(out.glob(".tmp-fetch-*"))
