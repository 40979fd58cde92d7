"""Frames at given times: rotation, changes of size, limits."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

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
