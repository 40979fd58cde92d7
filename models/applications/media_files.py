"""Audio and frames of one media file, as the features job decodes them, for output and figures."""

import io
import os
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas import SAMPLE_RATE, JobError, UsageError
from schemas.machine.ffmpeg import ffmpeg_binary
from schemas.media_names import MEDIA_SUFFIXES

MOST_STEM = 180
"""Bytes of a stem: a file system takes 255, and endings are added."""
FRAME_WIDTH = 320
"""Frames for figures are this wide, in pixels."""


def media_in(paths: Sequence[Path]) -> list[Path]:
    """Return the files among some files and folders; of folders all media below, by name.

    A file that is named twice comes once. `UsageError` for a folder without media, and for what is
    no media file.
    """
    found: dict[Path, None] = {}
    for path in paths:
        folder = os.path.isdir(path)
        inside = media_below(path) if folder else [path]
        if not folder:
            refuse_no_media(path)
        if not inside:
            raise UsageError(f"{path} holds no media file; media end in {_endings()}")
        found |= dict.fromkeys(inside)
    return list(found)


def media_below(folder: Path) -> list[Path]:
    """Return the media files in a folder and its subfolders by name; hidden ones are not."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in MEDIA_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    ]


def refuse_no_media(path: Path) -> None:
    """Raise `UsageError` when a path is no media file by its ending."""
    if not os.path.isfile(path):  # says no to any name, where Path.is_file raises for long ones
        raise UsageError(f"{path} is not a file; give a video or an audio file")
    if path.suffix.lower() not in MEDIA_SUFFIXES:
        raise UsageError(f"{path} is no media file by its ending; media end in {_endings()}")


def _endings() -> str:
    return " ".join(sorted(MEDIA_SUFFIXES))


def read_waveform(path: Path, seconds: int) -> NDArray[np.float32]:
    """Read mono audio at 16 kHz in -1..1, cut or padded with zeros to whole seconds.

    The samples are those that the features job sees. `JobError` when ffmpeg cannot read the file.
    """
    samples = read_mono(path)
    waveform = np.zeros(seconds * SAMPLE_RATE, np.float32)
    size = min(len(waveform), len(samples))
    waveform[:size] = samples[:size]
    return waveform


def read_mono(path: Path) -> NDArray[np.float32]:
    """Read mono audio at 16 kHz in -1..1, in its own length; `JobError` as `read_waveform`."""
    raw = _run(
        path, "-map", "0:a:0", "-f", "s16le", "-ac", "1", "-ar", str(SAMPLE_RATE),
        "-af", "aresample=async=1:first_pts=0",
    )  # fmt: skip
    return np.frombuffer(raw, "<i2").astype(np.float32) / 32768.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Audio:
    """The audio of a media file as it is, in -1..1."""

    samples: NDArray[np.float32]
    """[D, S], D channels."""
    rate: int
    """Samples a second."""


def read_audio(path: Path) -> Audio:
    """Read the first audio track with its own rate and channels; `JobError` as `read_waveform`."""
    raw = _run(
        path, "-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav",
        "-af", "aresample=async=1:first_pts=0",
    )  # fmt: skip
    samples, rate = soundfile.read(io.BytesIO(raw), dtype="float32", always_2d=True)
    return Audio(samples=np.ascontiguousarray(samples.T), rate=rate)


def write_audio(path: Path, audio: Audio) -> None:
    """Write audio as WAV with 16 bits, its own rate and channels; louder samples are clipped."""
    samples = np.clip(audio.samples.T, -1.0, 1.0)
    soundfile.write(path, samples, audio.rate, subtype="PCM_16", format="WAV")


def read_frames(path: Path, seconds: int) -> list[NDArray[np.uint8]]:
    """Read the frame [H, W, 3] in the middle of each second; behind the end the last one again."""
    scale = f"fps=2:start_time=0,scale={FRAME_WIDTH}:-2"
    raw = _run(path, "-map", "0:v:0", "-vf", scale, "-f", "image2pipe", "-c:v", "ppm")
    frames = _pixmaps(raw)
    if not frames:
        raise JobError(f"{path} gave no frame")
    return [frames[min(2 * second + 1, len(frames) - 1)] for second in range(seconds)]


def _pixmaps(raw: bytes) -> list[NDArray[np.uint8]]:
    """Split a stream of portable pixmaps into frames [H, W, 3]."""
    frames, at = [], 0
    while at < len(raw):
        header = raw[at : at + 64].split(b"\n", 3)
        width, height = map(int, header[1].split())
        start = at + sum(len(line) + 1 for line in header[:3])
        at = start + 3 * width * height
        frames.append(np.frombuffer(raw[start:at], np.uint8).reshape(height, width, 3))
    return frames


def _run(path: Path, *options: str) -> bytes:
    source = ["-protocol_whitelist", "file", "-i", f"file:{path.resolve()}"]
    command = [ffmpeg_binary(), "-nostdin", "-v", "error", *source, *options, "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise JobError(f"ffmpeg cannot read {path}: {said[-1] if said else 'no message'}")
    return done.stdout


def file_stem(name: str) -> str:
    """Return a class or file name as the stem of a file, at most `MOST_STEM` bytes long.

    >>> file_stem("Fire engine, fire truck (siren)")
    'Fire_engine_fire_truck_siren'
    """
    words = "".join(letter if letter.isalnum() else " " for letter in name).split()
    return "_".join(words).encode()[:MOST_STEM].decode(errors="ignore")


def shortened(stem: str) -> str:
    """Return the stem of a media file cut to `MOST_STEM` bytes, so that endings can be added."""
    while len(os.fsencode(stem)) > MOST_STEM:
        stem = stem[:-1]
    return stem


def file_stems(names: Sequence[str]) -> dict[str, str]:
    """Return a stem for each name; those that would be empty or alike get a number.

    >>> file_stems(["a/b", "A b", "?"])
    {'a/b': 'a_b', 'A b': 'A_b-2', '?': 'class-3'}
    """
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for number, name in enumerate(names, 1):
        stem = file_stem(name)
        if not stem or stem.lower() in taken:
            stem = f"{stem or 'class'}-{number}"
        taken.add(stem.lower())
        stems[name] = stem
    return stems


def write_waveform(path: Path, waveform: NDArray[np.float32]) -> None:
    """Write mono audio in -1..1 as WAV with 16 bits at 16 kHz; louder samples are clipped."""
    samples = np.round(np.clip(waveform, -1.0, 1.0) * 32767.0).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
