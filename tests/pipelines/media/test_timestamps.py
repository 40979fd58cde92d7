"""Frames at given times: rotation, changes of size, limits."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.media import timestamps
from pipelines.media.frames import ImageFile, PickedFrames
from pipelines.media.timestamps import write_frames
from schemas import KnownError, Reason
from schemas.machine.ffmpeg import ffmpeg_binary
from tests.pipelines.conftest import make_clip

CORNER = "color=black:size=64x32:rate=10:duration=1,drawbox=x=0:y=0:w=16:h=8:color=white:t=fill"
"""A black film whose left upper corner is white."""


def run_ffmpeg(*words: object) -> None:
    command = [ffmpeg_binary(), "-v", "error", "-y", "-nostdin", *map(str, words)]
    subprocess.run(command, check=True)


def frames_of(path: Path, target: Path, times: list[float]) -> PickedFrames:
    starts, picked = write_frames(path, 0, np.array(times), target, timeout_s=20, most_bytes=2**30)
    return PickedFrames(ImageFile(target, starts), picked)


@pytest.fixture
def corner(tmp_path: Path) -> Path:
    run_ffmpeg("-f", "lavfi", "-i", CORNER, "-c:v", "libx264", "-qp", "0", tmp_path / "c.mp4")
    return tmp_path / "c.mp4"


def white_corner(pixels: NDArray[np.uint8]) -> str:
    """Which corner of a frame is white."""
    top = "upper" if pixels[:8].mean() > pixels[-8:].mean() else "lower"
    left = "left" if pixels[:, :8].mean() > pixels[:, -8:].mean() else "right"
    return f"{top} {left}"


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_turns_as_ffmpeg_does(corner: Path, tmp_path: Path, degrees: int) -> None:
    path, shown = tmp_path / "turned.mp4", tmp_path / "shown.png"
    run_ffmpeg("-display_rotation", degrees, "-i", corner, "-c", "copy", path)
    run_ffmpeg("-i", path, "-frames:v", 1, shown)
    ours = frames_of(path, tmp_path / "frames", [0.5])[0]
    theirs = PickedFrames(ImageFile(shown, [0]), [0])[0]
    assert ours.shape == theirs.shape == ((64, 32, 3) if degrees % 180 else (32, 64, 3))
    assert white_corner(ours) == white_corner(theirs)
    expected = {0: "upper left", 90: "lower left", 180: "lower right", 270: "upper right"}
    assert white_corner(ours) == expected[degrees]


def test_film_that_changes_its_size_keeps_the_first(tmp_path: Path) -> None:
    for name, size in (("a", "64x32"), ("b", "32x64")):
        source = f"testsrc2=size={size}:rate=10:duration=1"
        run_ffmpeg(
            "-f", "lavfi", "-i", source, "-c:v", "mpeg2video", "-r", 25, tmp_path / f"{name}.ts"
        )
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    frames = frames_of(joined, tmp_path / "frames", [0.2, 0.8, 1.0, 1.5, 9.0])
    assert {frames[index].shape for index in range(5)} == {(32, 64, 3)}


def test_time_limit_ends_the_decoding(corner: Path, tmp_path: Path) -> None:
    with pytest.raises(KnownError) as caught:
        write_frames(
            corner, 0, np.array([0.1]), tmp_path / "frames", timeout_s=-1, most_bytes=2**30
        )
    assert caught.value.reason is Reason.TIMEOUT


def test_time_before_the_first_frame_shows_it(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", 1.0, audio=False)
    frames = frames_of(clip, tmp_path / "frames", [-5.0, 0.0])
    np.testing.assert_array_equal(frames[0], frames[1])


def test_decoding_begins_at_the_keyframe_before_the_first_time(tmp_path: Path) -> None:
    words = ("-f", "lavfi", "-i", "testsrc2=size=32x32:rate=10:duration=8", "-g", "10")
    run_ffmpeg(*words, "-c:v", "mpeg4", "-output_ts_offset", "30", tmp_path / "long.mkv")
    for start, earliest, latest in ((6.0, 4.5, 6.2), (1.0, 0.0, 0.2), (0.0, 0.0, 0.2)):
        ends = [end for _, end in timestamps._shown(tmp_path / "long.mkv", 0, start)]
        assert earliest < ends[0] < latest
        assert ends[-2] == pytest.approx(7.9, abs=0.01)
        assert ends[-1] == float("inf")
    starts, picked = write_frames(
        tmp_path / "long.mkv", 0, np.array([6.05, 6.06, 6.35]), tmp_path / "frames",
        timeout_s=20, most_bytes=2**30,
    )  # fmt: skip
    assert (len(starts), picked) == (2, [0, 0, 1])


def shown(monkeypatch: pytest.MonkeyPatch, ends: list[float]) -> list[int]:
    """Let frames be shown until the given times; return the list of those that were decoded."""
    decoded: list[int] = []

    def frames(*_: object) -> Iterator[tuple[SimpleNamespace, float]]:
        for number, end in enumerate(ends):
            decoded.append(number)
            yield SimpleNamespace(width=4, height=2, number=number), end

    monkeypatch.setattr(timestamps, "_shown", frames)
    monkeypatch.setattr(timestamps, "_png", lambda frame, w, h: bytes([frame.number] * w * h))
    return decoded


def test_frame_is_that_which_is_shown_at_a_time_and_no_more_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = shown(monkeypatch, [1.0, 2.0, 3.0, 4.0, 5.0])
    times = np.array([0.5, 1.0, 1.5, 3.5])
    target = tmp_path / "frames"
    found = write_frames(Path("x"), 0, times, target, timeout_s=20, most_bytes=24)
    assert found == ([0, 8, 16], [0, 1, 1, 2])
    assert target.read_bytes() == bytes([0] * 8 + [1] * 8 + [3] * 8)
    assert decoded == [0, 1, 2, 3]
    found = write_frames(Path("x"), 0, np.array([0.0, 7.0, 8.0]), target, timeout_s=20,
                         most_bytes=24)  # fmt: skip
    assert found == ([0], [0, 0, 0])  # what comes after the end shows the last one that was picked
    with pytest.raises(KnownError, match="the frames take over 23 bytes") as caught:
        write_frames(Path("x"), 0, times, target, timeout_s=20, most_bytes=23)
    assert caught.value.reason is Reason.TOO_LARGE


def test_film_without_a_frame_is_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown(monkeypatch, [])
    with pytest.raises(KnownError, match="no frame could be decoded") as caught:
        write_frames(Path("x"), 0, np.zeros(1), tmp_path / "f", timeout_s=20, most_bytes=24)
    assert caught.value.reason is Reason.CORRUPT
