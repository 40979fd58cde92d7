"""Frames of clips as small pictures in a page."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.applications.media_files import read_frames
from models.contract.report import ClipTimeline
from schemas import JobError, UsageError
from schemas.media_names import MEDIA_SUFFIXES
from schemas.page import data_uri

WIDTH = 128
"""Width of a picture, in pixels."""
MOST = 12
"""Pictures of a clip."""


def of_clips(
    media: Path | None, timelines: Mapping[str, Sequence[ClipTimeline]]
) -> dict[str, list[str]]:
    """Return pictures of clips by key; none of those whose file is not in the folder or unreadable.

    A file belongs to the clip whose key is its stem. `UsageError` when there is no such folder.
    """
    if media is None:
        return {}
    if not media.is_dir():
        raise UsageError(f"{media} is no folder; give the folder with the clips' media files")
    stems = {path.stem: path for path in sorted(media.rglob("*")) if path.suffix in MEDIA_SUFFIXES}
    pictures = {}
    for clip in (clip for clips in timelines.values() for clip in clips):
        seconds = max((len(row.probability) for row in clip.rows), default=0)
        if clip.key in stems and seconds:
            pictures[clip.key] = of_file(stems[clip.key], 10 if seconds == 1 else seconds)
    return pictures


def of_file(path: Path, seconds: int) -> list[str]:
    """Return a picture from the middle of each of at most `MOST` seconds; none without video."""
    try:
        frames = read_frames(path, seconds)
    except JobError:
        return []
    places = np.linspace(0, seconds - 1, min(MOST, seconds)).round().astype(int)
    return [picture(frames[place]) for place in places]


def picture(frame: NDArray[np.uint8]) -> str:
    """Return a frame [H, W, 3] as a small JPEG in an address."""
    image = Image.fromarray(frame)
    image.thumbnail((WIDTH, WIDTH))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=70)
    return data_uri(content.getvalue(), "image/jpeg")
