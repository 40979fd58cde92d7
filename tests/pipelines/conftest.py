"""Small media folders and a quick way to run `beam`, for the tests of the jobs."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipelines.media.ffmpeg import ffmpeg_binary

ROOT = Path(__file__).resolve().parents[2]

Beam = Callable[..., subprocess.CompletedProcess[str]]


def make_clip(
    path: Path, seconds: float = 3.0, *, picture: bool = True, sound: bool = True
) -> Path:
    """A test card with a tone, as H.264 and AAC."""
    command = [ffmpeg_binary(), "-v", "error", "-nostdin", "-y"]
    if picture:
        command += ["-f", "lavfi", "-i", f"testsrc2=size=160x120:rate=25:duration={seconds}"]
    if sound:
        command += ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    subprocess.run([*command, "-pix_fmt", "yuv420p", "-threads", "1", str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def small_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short clips, one without sound, one without picture, one that is no media."""
    folder = tmp_path_factory.mktemp("media")
    for index in range(9):
        make_clip(folder / f"clip{index}.mp4", 1.0 + index % 3)
    make_clip(folder / "mute.mp4", sound=False)
    make_clip(folder / "heard.wav", picture=False)
    (folder / "broken.mp4").write_bytes(b"this is not a film")
    return folder


@pytest.fixture
def beam() -> Beam:
    """Run `beam` in a process of its own: `beam("validate", out)`."""

    def run(
        *arguments: object, env: Mapping[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipelines", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )

    return run
