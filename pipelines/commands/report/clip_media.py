"""What a card shows of a clip's file: a short copy to play, frames, and the waveform."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.commands.report.records import Row
from pipelines.media.containers import READ_OPTIONS
from pipelines.media.ffmpeg import MOST_MEMORY, plain_number, run_child
from pipelines.media.media_index import MediaIndex
from pipelines.media.regular_file import check_regular
from schemas import Clip, KnownError
from schemas.machine.ffmpeg import ffmpeg_binary
from schemas.media_names import files_under
from schemas.page import data_uri

FRAMES = 5
"""Frames of a card, spread over the clip."""
WAVEFORM_POINTS = 300
_RATE = 4000
"""Sample rate that the waveform is drawn from, in Hz."""
_MOST_S = 20.0
"""Seconds of a longer clip that its copy holds."""
_TIME_LIMIT_S = 30.0
_SLACK_S = 1.0
"""A file that outlasts its clip by no more is the clip itself, as for the features job."""


@dataclass(frozen=True, kw_only=True)
class ClipMedia:
    """Parts of a clip's file as addresses that hold them; empty where there is none."""

    copy: str = ""
    """MP4, small."""
    video: bool = False
    frames: tuple[str, ...] = ()
    """JPEG."""
    waveform: str = ""
    """SVG points over 100 x 100."""
    trouble: str = ""
    """Why the file gave nothing."""

    def size(self) -> int:
        """Return the characters that it adds to a page."""
        return len(self.copy) + sum(map(len, self.frames)) + len(self.waveform)


def media_index(folder: str) -> MediaIndex:
    """Index the media files of a folder and of the folders in it."""
    root = folder.rstrip("/")
    return MediaIndex([f"{root}/{name}" for name in files_under(Path(folder))], root)


def read_clip(index: MediaIndex, clip: Row) -> ClipMedia:
    """Return what the file of a clip shows; `trouble` says what is in the way."""
    key = clip["clip_key"]
    span = Clip(clip["video_id"] or key, clip["start_s"], clip["end_s"] or np.inf, name=key)
    found = index.find(span)
    if found is None:
        return ClipMedia(trouble="not in the media folder")
    seconds = min(_MOST_S, clip["duration_s"] or _MOST_S)
    length = span.end_s - span.start_s
    whole = found.cut or not clip["duration_s"] or clip["duration_s"] <= length + _SLACK_S
    with tempfile.TemporaryDirectory(prefix="earsight-report-") as scratch:
        try:
            check_regular(Path(found.uri))
            return _convert(Path(found.uri), clip, 0.0 if whole else span.start_s, seconds,
                            Path(scratch))  # fmt: skip
        except (KnownError, OSError) as error:
            return ClipMedia(trouble=str(error))


def _convert(path: Path, clip: Row, start_s: float, seconds: float, scratch: Path) -> ClipMedia:
    """Let ffmpeg make all parts in one run."""
    options = [part for name, value in READ_OPTIONS.items() for part in (f"-{name}", value)]
    command = [ffmpeg_binary(), "-nostdin", "-v", "error", *options, "-ss", plain_number(start_s)]
    command += ["-t", plain_number(seconds), "-i", f"file:{path.absolute()}"]
    copy, audio = scratch / "copy.mp4", scratch / "audio.pcm"
    video = ["-vf", "scale=-2:144,fps=10", "-c:v", "libx264", "-preset", "veryfast", "-crf", "32",
             "-pix_fmt", "yuv420p"]  # fmt: skip
    heard = ["-c:a", "aac", "-b:a", "40k", "-ac", "1", "-ar", "22050"]
    command += video if clip["has_video"] else ["-vn"]
    command += heard if clip["has_audio"] else ["-an"]
    command += ["-movflags", "+faststart", str(copy)]
    if clip["has_video"]:
        rate = plain_number(FRAMES / max(seconds, 0.1))
        command += ["-an", "-vf", f"fps={rate},scale=-2:96", "-frames:v", str(FRAMES),
                    "-q:v", "8", str(scratch / "%d.jpg")]  # fmt: skip
    if clip["has_audio"]:
        command += ["-vn", "-ac", "1", "-ar", str(_RATE), "-f", "s16le", str(audio)]
    log = scratch / "ffmpeg.log"
    status = run_child(command, timeout_s=_TIME_LIMIT_S, log=log, most_memory=MOST_MEMORY)
    frames = tuple(
        data_uri(picture.read_bytes(), "image/jpeg") for picture in sorted(scratch.glob("*.jpg"))
    )
    made = ClipMedia(video=bool(clip["has_video"]), frames=frames)
    if audio.is_file():
        made = replace(made, waveform=_waveform(np.fromfile(audio, np.int16)))
    if status or not copy.is_file():
        return replace(made, trouble="ffmpeg made no copy of the file")
    return replace(
        made, copy=data_uri(copy.read_bytes(), "video/mp4" if made.video else "audio/mp4")
    )


def _waveform(samples: "np.ndarray[tuple[int], np.dtype[np.int16]]") -> str:
    """Return the outline of a waveform as SVG points over 100 x 100."""
    if not samples.size:
        return ""
    parts = np.array_split(samples / 32768, min(WAVEFORM_POINTS, samples.size))
    tops, lows = [float(part.max()) for part in parts], [float(part.min()) for part in parts]
    xs = np.linspace(0, 100, len(parts)).tolist()
    return " ".join(_points(xs, tops) + _points(xs[::-1], lows[::-1]))


def _points(xs: Sequence[float], ys: Sequence[float]) -> list[str]:
    return [f"{x:.1f},{50 - 50 * y:.1f}" for x, y in zip(xs, ys, strict=True)]
