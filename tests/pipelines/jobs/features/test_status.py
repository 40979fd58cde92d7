"""Exit status and last screen: a job in which nothing was done, or that met a bug, fell short."""

import shutil
from pathlib import Path

import pytest

from extractors.logmel import LogMel
from pipelines.jobs.options import ClipOptions
from tests.pipelines.conftest import Beam, make_clip
from tests.stores.compare import counts, read_table

JOB = ("run", "features", "--dataset", "folder", "--weights", "seeded", "--extractors", "logmel")


def run(beam: Beam, media: Path, out: Path, *more: str) -> tuple[int, str]:
    done = beam(*JOB, "--media", media, "--out", out, *more)
    return done.returncode, done.stdout


def test_nothing_done_is_no_success(tmp_path: Path, beam: Beam) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / "a.mp4").write_bytes(b"this is not a film")
    status, screen = run(beam, media, tmp_path / "out", "--max-failed", "1")
    assert status == 1
    assert "No clip was done." in screen
    assert "Next:" not in screen
    assert counts(tmp_path / "out")["clips_failed"] == 1
    again, _ = run(beam, media, tmp_path / "out", "--max-failed", "1")
    assert again == 1  # nothing was left to do, and still nothing is done


def test_list_without_any_media_is_no_success(tmp_path: Path, beam: Beam) -> None:
    labels, media = tmp_path / "labels", tmp_path / "media"
    labels.mkdir()
    media.mkdir()
    make_clip(media / "other.mp4", 1.0)
    (labels / "labels.csv").write_text("file,labels,split\nlater.mp4,a,train\nother.mp4,a,train\n")
    words = ("--annotations", str(labels))
    assert run(beam, media, tmp_path / "out", *words)[0] == 0  # a clip that waits is no failure
    (media / "other.mp4").unlink()
    shutil.rmtree(tmp_path / "out")
    (media / "other.mp4").write_bytes(b"x")
    assert run(beam, media, tmp_path / "out", *words)[0] == 1


def test_default_of_max_failed_can_be_exceeded(tmp_path: Path, beam: Beam) -> None:
    assert 0 < ClipOptions.max_failed < 1
    media = tmp_path / "media"
    media.mkdir()
    make_clip(media / "good.mp4", 1.0)
    (media / "bad0.mp4").write_bytes(b"x")
    assert run(beam, media, tmp_path / "half")[0] == 0  # half, not more
    (media / "bad1.mp4").write_bytes(b"y")
    status, screen = run(beam, media, tmp_path / "out")
    assert status == 1
    assert "67% of the clips failed, more than --max-failed 50%" in screen


def test_bug_is_counted_and_makes_the_job_fall_short(
    tmp_path: Path, beam: Beam, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for name in ("a", "b", "c"):
        make_clip(media / f"{name}.mp4", 1.0)
    extract = LogMel.extract

    def sometimes(self: LogMel, clip: object) -> object:
        if clip.clip_key == "b":  # type: ignore[attr-defined]
            raise ZeroDivisionError("planted")
        return extract(self, clip)  # type: ignore[arg-type]

    monkeypatch.setattr(LogMel, "extract", sometimes)
    status, screen = run(beam, media, tmp_path / "out")
    assert status == 1
    assert "1 clips met a bug of earsight" in screen
    assert "ZeroDivisionError: planted" in screen
    (row,) = read_table(tmp_path / "out", "failures").to_pylist()
    assert row["reason"] == "internal"
    assert "in sometimes" in row["detail"]
    assert counts(tmp_path / "out")["clips_done"] == 2
    monkeypatch.setattr(LogMel, "extract", extract)
    assert run(beam, media, tmp_path / "out")[0] == 0  # mended: the next run does it
