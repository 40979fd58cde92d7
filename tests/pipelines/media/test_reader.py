"""Media files read in a process of their own."""

import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.media.probe import Probe, Track, probe
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


class Told:
    """A process that says what it was told, and keeps what it was asked."""

    def __init__(self, said: dict[str, object]) -> None:
        self.said, self.asked, self.limit_s = said, b"", 0.0

    def ask(self, request: bytes, timeout_s: float) -> bytes:
        self.asked, self.limit_s = request, timeout_s
        return json.dumps(self.said).encode()


def told(said: dict[str, object]) -> tuple[MediaReader, Told]:
    reader, child = MediaReader(), Told(said)
    reader._child = child  # type: ignore[assignment]
    return reader, child


def test_time_limits_grow_with_the_file_and_leave_some_grace(clip: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(40 * 2**20)
    track = {"index": 1, "end_s": 2.0, "rate": None, "channels": 2}
    reader, child = told({"sha256": "aa", "video": None, "audio": track})
    assert reader.inspect(large, 20.0) == ("aa", Probe(None, Track(1, 2.0, None, 2)))
    assert child.limit_s == 30.0
    assert json.loads(child.asked) == {"do": "inspect", "path": str(large)}
    reader, child = told({"starts": [0], "picked": [0, 0]})
    images, picked = reader.frames_at(
        large, 1, np.array([0.5, 1.0]), clip, timeout_s=7.0, room=ScratchRoom(tmp_path, 99)
    )
    assert (len(images), picked) == (1, [0, 0])
    assert child.limit_s == 12.0
    assert json.loads(child.asked) == {
        "do": "frames", "path": str(large), "track": 1, "times": [0.5, 1.0], "target": str(clip),
        "timeout_s": 7.0, "most_bytes": 99,
    }  # fmt: skip


def test_failure_that_is_not_of_the_disk_stays_what_it_is(clip: Path, tmp_path: Path) -> None:
    small = ScratchRoom(tmp_path, 1, 2)
    for reason, target, error in (
        ("timeout", clip, KnownError), ("too_large", tmp_path / "none", KnownError),
        ("too_large", clip, OSError),
    ):  # fmt: skip
        reader, _ = told({"reason": reason, "detail": "so it is"})
        with pytest.raises(error, match="so it is" if error is KnownError else "No space"):
            reader.frames_at(clip, 0, np.zeros(1), target, timeout_s=1, room=small)


def test_answers_are_json_of_what_was_asked(clip: Path, tmp_path: Path) -> None:
    inspect = json.dumps({"do": "inspect", "path": str(clip)}).encode()
    found = json.loads(answer(inspect))
    assert found["sha256"] == sha256_of(clip)
    assert found["video"]["end_s"] == pytest.approx(2.0)
    frames = {
        "do": "frames", "path": str(clip), "track": 0, "times": [0.0, 1.0],
        "target": str(tmp_path / "frames"), "timeout_s": 20, "most_bytes": 10**7,
    }  # fmt: skip
    found = json.loads(answer(json.dumps(frames).encode()))
    assert found["picked"] == [0, 1]
    assert (tmp_path / "frames").read_bytes()[found["starts"][1] :].startswith(b"\x89PNG")
    late = json.dumps({**frames, "timeout_s": -1}).encode()
    assert json.loads(answer(late))["reason"] == "timeout"
    gone = json.dumps({"do": "inspect", "path": str(tmp_path / "gone")}).encode()
    assert json.loads(answer(gone))["reason"] == "not_found"
    assert json.loads(answer(b"no json"))["reason"] == "internal"


def test_memory_that_is_named_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def eat(path: Path) -> str:
        raise MemoryError

    monkeypatch.setattr("pipelines.media.reader_process.sha256_of", eat)
    monkeypatch.setattr("pipelines.media.reader_process.MOST_MEMORY", 3 * 2**29)
    said = json.loads(answer(b'{"do": "inspect", "path": "x"}'))
    assert said["detail"] == "reading the file takes more than 1.5 GiB of memory"


def test_pool_ends_all_its_processes(clip: Path) -> None:
    pool = ReaderPool(2)
    with pool.reader() as first, pool.reader() as second:
        first.inspect(clip, 60)
    assert [one._child.running for one in (first, second)] == [True, False]
    pool.close()
    assert [one._child.running for one in (first, second)] == [False, False]
