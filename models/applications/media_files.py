"""Sound and frames of one media file, as the features job decodes them, for output and figures."""

import subprocess
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas import SAMPLE_RATE, JobError
from schemas.ffmpeg import ffmpeg_binary

FRAME_WIDTH = 320
"""Frames for figures are this wide, in pixels."""


def read_sound(path: Path, seconds: int) -> NDArray[np.float32]:
    """Mono sound at 16 kHz in -1..1, cut or filled up with zeros to whole seconds.

    The samples are those that the features job sees. `JobError` when ffmpeg cannot read the file.
    """
    raw = _run(
        path, "-map", "0:a:0", "-f", "s16le", "-ac", "1", "-ar", str(SAMPLE_RATE),
        "-af", "aresample=async=1:first_pts=0",
    )  # fmt: skip
    samples = np.frombuffer(raw, "<i2").astype(np.float32) / 32768.0
    sound = np.zeros(seconds * SAMPLE_RATE, np.float32)
    size = min(len(sound), len(samples))
    sound[:size] = samples[:size]
    return sound


def read_frames(path: Path, seconds: int) -> NDArray[np.uint8]:
    """The frame in the middle of each second, [seconds, H, W, 3], the last one repeated."""
    scale = f"fps=2:start_time=0,scale={FRAME_WIDTH}:-2"
    raw = _run(path, "-map", "0:v:0", "-vf", scale, "-f", "image2pipe", "-c:v", "ppm")
    frames = _pictures(raw)
    if not frames:
        raise JobError(f"{path} gave no frame")
    chosen = [min(2 * second + 1, len(frames) - 1) for second in range(seconds)]
    return np.stack([frames[index] for index in chosen])


def _pictures(raw: bytes) -> list[NDArray[np.uint8]]:
    """Portable pixmaps, one after the other."""
    frames, at = [], 0
    while at < len(raw):
        header = raw[at : at + 64].split(b"\n", 3)
        width, height = map(int, header[1].split())
        start = at + sum(len(line) + 1 for line in header[:3])
        at = start + 3 * width * height
        frames.append(np.frombuffer(raw[start:at], np.uint8).reshape(height, width, 3))
    return frames


def _run(path: Path, *options: str) -> bytes:
    command = [
        ffmpeg_binary(),
        "-nostdin",
        "-v",
        "error",
        "-i",
        f"file:{path.resolve()}",
        *options,
        "-",
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise JobError(f"ffmpeg cannot read {path}: {said[-1] if said else 'no message'}")
    return done.stdout


def file_name(label: str) -> str:
    """A class as the name of a file.

    >>> file_name("Fire engine, fire truck (siren)")
    'Fire_engine_fire_truck_siren'
    """
    return "_".join("".join(one if one.isalnum() else " " for one in label).split())


def write_sound(path: Path, sound: NDArray[np.float32]) -> None:
    """Write mono sound in -1..1 as WAV with 16 bits at 16 kHz; louder samples are cut off."""
    samples = np.round(np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
