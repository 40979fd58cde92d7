"""Frames as stored bytes, for nets that train on pixels.

The recipe says format, size and rate: JPEG (quality 90) or WebP (quality 85), the shorter side
`frames_side` pixels at most (bilinear), `frames_rate` frames per second. They are those that every
other extractor sees, so with recipe `llp-eccv20` they have been through ffmpeg's JPEG once before.

Letters: R frames.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from extractors.base import LoadOptions
from extractors.frames import FrameExtractor, resized, scaled_size
from schemas.media import ClipMedia, StoredFrames

ENCODING: Mapping[str, Mapping[str, int]] = {
    "jpeg": {"quality": 90},
    "webp": {"quality": 85, "method": 2},
}
"""What Pillow is told for each format of the recipe."""

Encoded = tuple[bytes, int, int]
"""Image, width and height."""


class EncodedFrames(FrameExtractor):
    """Some frames of each second, encoded: `StoredFrames`."""

    name = "frames"

    def open(self, options: LoadOptions) -> None:
        """Do nothing: no net is behind it."""

    def frame_offsets(self, per_snippet: int) -> Sequence[int]:
        """Return those that divide the second evenly, from the middle of the first share."""
        step = per_snippet // self.recipe.frames_rate
        return range(step // 2, per_snippet, step)

    def reduce(self, frame: NDArray[np.uint8]) -> Encoded:
        """Return a frame [H, W, 3] as an image of the recipe's format and size."""
        height, width = frame.shape[:2]
        if min(height, width) > self.recipe.frames_side:
            width, height = scaled_size(frame, self.recipe.frames_side)
            frame = resized(frame, width, height)
        file = io.BytesIO()
        form = self.recipe.frames_format
        Image.fromarray(frame).save(file, form.upper(), **ENCODING[form])
        return file.getvalue(), width, height

    def compute(self, seconds: Sequence[Sequence[Encoded]]) -> Sequence[Sequence[Encoded]]:
        """Return the frames as they are."""
        return seconds

    def join(self, parts: Sequence[Sequence[Sequence[Encoded]]], media: ClipMedia) -> StoredFrames:
        """Return all frames of the clip."""
        frames = [frame for part in parts for second in part for frame in second]
        offsets = np.array(self.frame_offsets(media.per_snippet))
        index = np.arange(media.n_snippets)[:, None] * media.per_snippet + offsets
        images, widths, heights = zip(*frames, strict=True)
        return StoredFrames(
            snippet_index=np.repeat(np.arange(media.n_snippets), len(offsets)).astype(np.int32),
            frame_index=index.reshape(-1).astype(np.int32),
            width=np.array(widths, np.int32),
            height=np.array(heights, np.int32),
            image=images,
        )
