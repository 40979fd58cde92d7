"""Media files read in a process of their own."""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.media.probe import probe
from pipelines.media.reader import MediaReader, ReaderPool
from pipelines.media.reader_process import answer
from pipelines.media.regular_file import sha256_of
from pipelines.media.scratch_room import ScratchRoom
from schemas import KnownError, Reason
from tests.pipelines.conftest import make_clip


@pytest.fixture(scope="module")
def reader() -> Iterator[MediaReader]:
    reader = MediaReader()
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 2.0)


def refusal(reader: MediaReader, path: Path, timeout_s: float = 20.0) -> KnownError:
    with pytest.raises(KnownError) as caught:
        reader.inspect(path, timeout_s)
    return caught.value


def test_file_is_measured_as_in_this_process(reader: MediaReader, clip: Path) -> None:
    assert reader.inspect(clip, 20) == (sha256_of(clip), probe(clip))


def test_frames_come_through(reader: MediaReader, clip: Path, tmp_path: Path) -> None:
    times = np.array([0.05, 0.06, 1.5])
    room = ScratchRoom(tmp_path, 10**7)
    images, picked = reader.frames_at(clip, 0, times, tmp_path / "frames", timeout_s=20, room=room)
    assert picked == [0, 0, 1]
    assert len(images) == 2
    assert images.image(0).startswith(b"\x89PNG")


def test_frames_that_fill_the_disk_are_too_large_or_the_disk_is_small(
    reader: MediaReader, clip: Path, tmp_path: Path
) -> None:
    def ending(little_room: int) -> Exception:
        times, target = np.arange(20) / 10, tmp_path / "frames"
        room = ScratchRoom(tmp_path, 9000, little_room)
        with pytest.raises((KnownError, OSError)) as caught:
            reader.frames_at(clip, 0, times, target, timeout_s=20, room=room)
        return caught.value

    assert getattr(ending(9001), "errno", None) == errno.ENOSPC
    assert getattr(ending(9000), "reason", None) is Reason.TOO_LARGE


def test_script_is_told_from_media_without_tracks(reader: MediaReader, tmp_path: Path) -> None:
    script, subtitles = tmp_path / "script.mp4", tmp_path / "subtitles.mp4"
    script.write_text("ffconcat version 1.0\nfile clip.mp4\n")
    subtitles.write_text("WEBVTT\n\n00:00.000 --> 00:05.000\nhello\n")
    assert refusal(reader, script).detail == (
        "the file is a playlist or script (concat) that leads to others"
    )
    assert refusal(reader, subtitles).reason is Reason.FORMAT
    assert "webvtt" in refusal(reader, subtitles).detail


def test_file_that_crashes_or_hangs_the_process_costs_one_clip(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "sitecustomize.py"
    site.write_text(f"""
import os, time
from pipelines.media import probe
real = probe.probe
def hurt(path):
    if path.name == "crash.mp4": os.kill(os.getpid(), {int(signal.SIGSEGV)})
    if path.name == "hang.mp4": time.sleep(600)
    if path.name == "bug.mp4": raise KeyError(0)
    return real(path)
probe.probe = hurt
""")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("crash", "hang", "bug"):
        os.link(clip, tmp_path / f"{name}.mp4")
    reader = MediaReader()
    try:
        reader.inspect(clip, 60)
        assert "status -11" in refusal(reader, tmp_path / "crash.mp4").detail
        assert refusal(reader, tmp_path / "hang.mp4", 0.5).reason is Reason.TIMEOUT
        bug = refusal(reader, tmp_path / "bug.mp4")
        assert bug.reason is Reason.INTERNAL
        assert "KeyError: 0" in bug.detail
        assert reader.inspect(clip, 60)[1] == probe(clip)
    finally:
        reader.close()


def test_memory_error_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def eat(path: Path) -> str:
        raise MemoryError

    monkeypatch.setattr("pipelines.media.reader_process.sha256_of", eat)
    assert b'"too_large"' in answer(b'{"do": "inspect", "path": "x"}')


def test_pool_lends_each_reader_once() -> None:
    pool = ReaderPool(2)
    with pool.reader() as first, pool.reader() as second:
        assert first is not second
    with pool.reader() as again:
        assert again in (first, second)
    pool.close()
