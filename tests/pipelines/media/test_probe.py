"""What is in a file, and which files are refused."""

import subprocess
from pathlib import Path

import pytest

from pipelines.media.probe import probe
from schemas import KnownError, Reason
from schemas.machine.ffmpeg import ffmpeg_binary


def test_huge_picture_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "huge.mkv"
    command = [ffmpeg_binary(), "-v", "error", "-f", "lavfi", "-i", "color=s=12288x8192:r=1:d=1"]
    subprocess.run([*command, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", str(path)], check=True)
    with pytest.raises(KnownError) as caught:
        probe(path)
    assert caught.value.reason is Reason.TOO_LARGE
