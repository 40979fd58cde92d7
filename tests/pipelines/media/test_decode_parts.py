"""Parts of a decode: where in a file the clip lies, the grid, and what is said of failures."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.media import decode
from pipelines.media.decode import ClipDecoder, ClipFile, Window, find_window
from pipelines.media.ffmpeg import MOST_MEMORY
from pipelines.media.probe import Probe, Track
from pipelines.media.reader import MediaReader
from schemas import RECIPES, Clip, KnownError, Reason

FILM = Probe(Track(0, 30.0, 25.0), Track(1, 29.0, 44100.0, 2))


@pytest.mark.parametrize(
    ("start", "end", "cut", "window"),
    [
        (0.0, math.inf, False, Window(0.0, 30.0)),
        (5.0, 15.0, True, Window(0.0, 11.0)),
        (5.0, 15.0, False, Window(5.0, 10.0)),
        (0.0, 29.0, False, Window(0.0, 30.0)),
        (1.0, 29.5, False, Window(1.0, 28.5)),
        (29.5, 40.0, False, Window(29.5, 10.5)),
        (100.0, 129.0, False, Window(0.0, 30.0)),
    ],
)
def test_clip_is_the_file_or_a_part_of_it(
    start: float, end: float, cut: bool, window: Window
) -> None:
    assert find_window(Clip("v", start, end), FILM, cut=cut) == window


def test_clip_that_begins_where_the_film_ends_is_too_short() -> None:
    with pytest.raises(KnownError) as caught:
        find_window(Clip("v", 30.0, 40.0), FILM, cut=False)
    assert (caught.value.reason, caught.value.detail) == (
        Reason.TOO_SHORT, "the video is 30.00 s long, the clip starts at 30 s"
    )  # fmt: skip


def test_second_counts_from_a_half_on() -> None:
    lengths = (0.0, 0.49, 0.5, 1.49, 1.5, 9.9)
    assert [decode._whole_seconds(length) for length in lengths] == [0, 0, 1, 1, 2, 10]


def test_samples_are_read_whole_and_put_on_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "pcm"
    assert decode._read_samples(path) is None
    for size, count in ((0, None), (1, None), (2, 1), (7, 3)):
        path.write_bytes(b"\x00\x40\x00\xc0\xff\x7f\x00"[:size])
        found = decode._read_samples(path)
        assert (None if found is None else len(found)) == count
    samples = decode._read_samples(path)
    assert samples is not None
    grid = decode._on_grid(samples, 2)
    assert grid.dtype == np.float32
    assert grid.shape == (32_000,)
    assert grid[:3].tolist() == [0.5, -0.5, 32767 / 32768]
    assert not grid[3:].any()
    assert decode._on_grid(np.ones(40_000, np.int16), 1).shape == (16_000,)


def test_failure_says_the_last_line_of_ffmpeg_without_the_name(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    assert decode._messages(tmp_path, path) == ""
    (tmp_path / decode.LOG).write_bytes(f"first\n{path}: bad\xff\n".encode("latin-1"))
    assert decode._messages(tmp_path, path) == "first\nthe file: bad\ufffd\n"
    for messages, reason, last in (
        ("first\nlast\n", Reason.CORRUPT, "last"),
        ("", Reason.CORRUPT, "ffmpeg gave no message"),
        ("Cannot allocate memory\nlast", Reason.TOO_LARGE, "last"),
        ("x" * 301, Reason.CORRUPT, "x" * 300),
    ):
        error = decode._undecodable(messages)
        assert error.reason is reason
        assert error.detail == f"no frame and no sample could be decoded: {last}"


def decoder(tmp_path: Path, tracks: Probe, window: Window) -> tuple[ClipDecoder, ClipFile]:
    clip = Clip("v", 0.0, math.inf, name="v")
    made = ClipDecoder(RECIPES["llp-eccv20"], MediaReader(), timeout_s=5.0, room_share=0.25)
    return made, ClipFile(clip, tmp_path / "film.mp4", tracks, window)


@pytest.mark.parametrize(("length", "limit"), [(2.0, 5.0), (7.0, 7.0)])
def test_time_limit_grows_with_the_clip(tmp_path: Path, length: float, limit: float) -> None:
    made, file = decoder(tmp_path, FILM, Window(0.0, length))
    assert made._limit_s(file) == limit


Calls = list[dict[str, Any]]


def ran(monkeypatch: pytest.MonkeyPatch, *statuses: int) -> Calls:
    """Let ffmpeg end with some statuses, one after the other; return what it was called with."""
    calls: Calls = []

    def run(command: list[str], **options: Any) -> int:
        calls.append({"command": command, **options})
        return statuses[len(calls) - 1]

    monkeypatch.setattr(decode, "run_child", run)
    monkeypatch.setattr("time.monotonic", lambda: 100.0 + 3 * len(calls))
    return calls


def option(call: dict[str, Any], name: str) -> list[str]:
    words = call["command"]
    return [words[place + 1] for place, word in enumerate(words) if word == name]


def test_both_tracks_are_decoded_in_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = ran(monkeypatch, 0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 8_000_000_000})())
    made, file = decoder(tmp_path, FILM, Window(1.5, 2.0))
    made._run_ffmpeg(file, tmp_path)
    (call,) = calls
    assert (call["timeout_s"], call["log"]) == (5.0, tmp_path / decode.LOG)
    assert call["most_memory"] == MOST_MEMORY
    assert (option(call, "-ss"), option(call, "-t")) == (["1.5"], ["2.0"])
    assert option(call, "-fs") == ["2000000000", "2000000000"]
    assert option(call, "-map") == ["0:0", "0:1"]
    assert (option(call, "-r"), option(call, "-threads")) == (["8"], ["1"])
    assert (option(call, "-ac"), option(call, "-ar")) == (["1"], ["16000"])
    assert option(call, "-i") == [f"file:{file.path.resolve()}"]
    assert {"-nostdin", "-y"} < {*call["command"]}


def test_each_track_is_tried_by_itself_where_both_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = ran(monkeypatch, 1, 0, 1)
    made, file = decoder(tmp_path, FILM, Window(0.0, 2.0))
    made._run_ffmpeg(file, tmp_path)
    assert [option(call, "-map") for call in calls] == [["0:0", "0:1"], ["0:0"], ["0:1"]]
    assert [call["timeout_s"] for call in calls] == [5.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("tracks", "maps"),
    [
        (Probe(FILM.video, None), [["0:0"]]), (Probe(None, FILM.audio), [["0:1"]]),
        (Probe(None, None), []),
    ],
)  # fmt: skip
def test_single_track_is_tried_once(
    tracks: Probe, maps: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = ran(monkeypatch, 1, 1)
    made, file = decoder(tmp_path, tracks, Window(0.0, 2.0))
    made._run_ffmpeg(file, tmp_path)
    assert [option(call, "-map") for call in calls] == maps


def test_video_lasts_as_its_track_its_window_and_its_frames(tmp_path: Path) -> None:
    made, file = decoder(tmp_path, FILM, Window(28.0, 10.0))
    assert made._video_seconds(file, tmp_path) == 0.0
    (tmp_path / decode.FRAMES).touch()
    assert made._video_seconds(file, tmp_path) == 0.0
    for frames, seconds in ((12, 1.5), (16, 2.0), (40, 2.0)):
        (tmp_path / decode.FRAMES).write_bytes(b"\xff\xd8\xff.." * frames)
        assert made._video_seconds(file, tmp_path) == seconds
    made, file = decoder(tmp_path, FILM, Window(40.0, 10.0))
    assert made._video_seconds(file, tmp_path) == 0.0
    made, file = decoder(tmp_path, Probe(None, FILM.audio), Window(0.0, 10.0))
    assert made._video_seconds(file, tmp_path) == 0.0


@pytest.mark.parametrize(
    ("reason", "needed", "raised"),
    [
        (Reason.CORRUPT, False, False), (Reason.CORRUPT, True, True), (Reason.TIMEOUT, False, True),
        (Reason.TIMEOUT, True, True),
    ],
)  # fmt: skip
def test_frames_that_are_broken_are_left_out_where_there_is_audio(
    reason: Reason, needed: bool, raised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KnownError(reason, "broken")

    monkeypatch.setattr(ClipDecoder, "_pick_frames", fail)
    made, file = decoder(tmp_path, FILM, Window(0.0, 2.0))
    if raised:
        with pytest.raises(KnownError):
            made._frames_or_none(file, tmp_path, 1, 2, needed=needed)
    else:
        assert made._frames_or_none(file, tmp_path, 1, 2, needed=needed) is None
