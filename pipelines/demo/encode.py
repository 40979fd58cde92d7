"""Frames and waveforms into files whose bytes depend on their content and on ffmpeg alone.

x264 runs on one thread and every writer is told to leave out dates and its own version.
"""

import tempfile
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.demo.motion import HEIGHT, WIDTH
from pipelines.demo.synthesis import RATE
from pipelines.media.ffmpeg import run_child
from schemas import JobError, KnownError
from schemas.demo import FRAME_RATE
from schemas.machine.ffmpeg import ffmpeg_binary

TIME_LIMIT_S = 120.0
"""A clip is encoded in about a quarter of a second; a child that takes this long is killed."""

_EXACT = ("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
          "-flags:a", "+bitexact")  # fmt: skip


def write_wav(path: Path, samples: NDArray[np.float32]) -> None:
    """Write `samples`, [N] or [channels, N] in -1..1, as 16-bit WAV at 16 kHz."""
    channels = np.atleast_2d(samples)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(len(channels))
        out.setsampwidth(2)
        out.setframerate(RATE)
        whole = np.clip(np.round(channels.T * 32767), -32768, 32767)
        out.writeframes(whole.astype("<i2").tobytes())


def write_clip(
    path: Path,
    frames: NDArray[np.uint8],
    waveform: NDArray[np.float32],
    *,
    sample_rate: int,
    channels: int,
) -> None:
    """Write H.264 and AAC in MP4 to `path`, which appears whole or not at all.

    `frames` is planar YUV 4:2:0, [F, 360, 320]; `sound` is [2, N] at 16 kHz, resampled and mixed as
    asked. `JobError` with ffmpeg's words when it fails.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as folder:
        work = Path(folder)
        frames.tofile(work / "frames.yuv")
        write_wav(work / "waveform.wav", waveform)
        command = [
            ffmpeg_binary(), "-nostdin", "-v", "error", "-y",
            "-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{WIDTH}x{HEIGHT}",
            "-framerate", str(FRAME_RATE), "-i", str(work / "frames.yuv"),
            "-i", str(work / "waveform.wav"),
            "-c:v", "libx264", "-preset", "superfast", "-crf", "23", "-g", "50", "-threads", "1",
            "-c:a", "aac", "-aac_coder", "fast", "-b:a", "64k" if channels == 1 else "96k",
            "-ar", str(sample_rate), "-ac", str(channels), *_EXACT, str(work / "clip.mp4"),
        ]  # fmt: skip
        log = work / "ffmpeg.log"
        try:
            status = run_child(command, timeout_s=TIME_LIMIT_S, log=log)
        except KnownError as error:
            raise JobError(f"the demo clip {path.name} was not encoded: {error.detail}") from None
        if status != 0:
            words = log.read_text(errors="replace").strip()[-500:]
            raise JobError(f"the demo clip {path.name} was not encoded, ffmpeg says: {words}")
        (work / "clip.mp4").replace(path)
