"""Small copies of media that play inside a page: video as MP4, sound as M4A, pictures of sound."""

import io
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas import SAMPLE_RATE
from schemas.machine.ffmpeg import ffmpeg_binary
from schemas.page import data_uri

MOST_S = 60
"""Seconds of a longer clip that its copy holds."""
HEIGHT = 360
"""Height of a copied video, in pixels."""
OUTLINE = 600
"""Points of a waveform's outline."""
_LIMIT_S = 300.0
_VIDEO = (
    "-map", "0:v:0", "-vf", f"scale=-2:{HEIGHT},fps=15", "-c:v", "libx264", "-preset", "veryfast",
    "-crf", "30", "-maxrate", "600k", "-bufsize", "1200k", "-pix_fmt", "yuv420p",
)  # fmt: skip
_SOUND = ("-c:a", "aac", "-b:a", "48k", "-ac", "1")
_OUT = (
    "-sn",
    "-dn",
    "-map_metadata",
    "-1",
    "-threads",
    "1",
    "-movflags",
    "+faststart",
    "-f",
    "mp4",
)


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of a media file as an address that holds it."""

    address: str = ""
    """Empty where there is none."""
    video: bool = False
    trouble: str = ""
    """Why there is none."""


def of_file(path: Path) -> Copy:
    """Return a copy of the first `MOST_S` seconds, of the sound alone where there is no picture."""
    source = ("-protocol_whitelist", "file", "-t", str(MOST_S), "-i", f"file:{path.resolve()}")
    for video in (True, False):
        kind = _VIDEO if video else ("-vn",)
        content = _converted(*source, *kind, "-map", "0:a:0?", *_SOUND)
        if content:
            return Copy(address=data_uri(content, _kind(video)), video=video)
    return Copy(trouble="ffmpeg made no copy of the file, so it cannot be played here")


def of_waveform(waveform: NDArray[np.float32]) -> Copy:
    """Return a copy of the first `MOST_S` seconds of mono sound at 16 kHz in -1..1."""
    samples = np.round(np.clip(waveform[: MOST_S * SAMPLE_RATE], -1, 1) * 32767).astype("<i2")
    raw = ("-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "pipe:0")
    content = _converted(*raw, *_SOUND, given=samples.tobytes())
    if content:
        return Copy(address=data_uri(content, _kind(False)))
    return Copy(trouble="ffmpeg made no copy of the sound; the WAV file beside this page plays")


def _kind(video: bool) -> str:
    return "video/mp4" if video else "audio/mp4"


def _converted(*words: str, given: bytes = b"") -> bytes:
    """Return what ffmpeg writes as MP4; nothing when it cannot, or needs too long."""
    with tempfile.TemporaryDirectory(prefix="earsight-page-") as scratch:
        made = Path(scratch) / "copy.mp4"
        command = [ffmpeg_binary(), "-v", "error", *words, *_OUT, str(made)]
        try:
            done = subprocess.run(
                command, input=given, capture_output=True, check=False, timeout=_LIMIT_S
            )
        except subprocess.TimeoutExpired:
            return b""
        return made.read_bytes() if done.returncode == 0 and made.is_file() else b""


def outline(waveform: NDArray[np.float32], peak: float) -> str:
    """Return the outline of a waveform [S] as SVG points over 100 x 100; `peak` fills the height.

    >>> outline(np.array([1.0, -0.5], np.float32), 1.0)
    '0.00,0.0 100.00,75.0 100.00,75.0 0.00,0.0'
    """
    parts = np.array_split(waveform, min(OUTLINE, len(waveform)))
    scale = 50 / max(peak, 1e-9)
    tops = [50 - scale * float(part.max()) for part in parts]
    lows = [50 - scale * float(part.min()) for part in parts]
    xs = np.linspace(0, 100, len(parts)).tolist()
    there = [f"{x:.2f},{y:.1f}" for x, y in zip(xs, tops, strict=True)]
    back = [f"{x:.2f},{y:.1f}" for x, y in zip(xs[::-1], lows[::-1], strict=True)]
    return " ".join(there + back)


def picture(levels: NDArray[np.float32], low: float, high: float) -> str:
    """Return levels [F, N] as a picture, low bands at its foot, dark at `low`, bright at `high`."""
    from matplotlib import colormaps

    from schemas.page import palette

    scaled = np.clip((levels[::-1] - low) / max(high - low, 1e-9), 0, 1)
    coloured = (colormaps[palette.SCALE](scaled)[:, :, :3] * 255).astype(np.uint8)
    content = io.BytesIO()
    image = Image.fromarray(coloured).resize((800, 120), Image.Resampling.BILINEAR)
    image.save(content, "JPEG", quality=75)
    return data_uri(content.getvalue(), "image/jpeg")
