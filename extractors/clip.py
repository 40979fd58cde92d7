"""CLIP: where the middle frame of each second lies in the space of pictures and text.

Paper and published weights: `extractors.nets.contrastive`.
Differences: VALOR (https://arxiv.org/abs/2305.17343) takes ten frames spread evenly from the first
to the last, here it is each second's middle one, as in UWAV. Frames are squashed as there.

Letters: T seconds.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from extractors.base import Array, LoadOptions, finite
from extractors.frames import FrameExtractor, resized
from extractors.nets.contrastive import SIDE, as_pictures
from schemas.media import ClipMedia


class CLIP(FrameExtractor):
    """CLIP's embedding of each second's middle frame, of length 1: float32 [T, 768]."""

    name = "clip"

    def open(self, options: LoadOptions) -> None:
        """Take the net, which always computes in fp32."""
        super().open(replace(options, precision="fp32"))

    def frame_offsets(self, per_snippet: int) -> Sequence[int]:
        """Return the middle frame's."""
        return (per_snippet // 2,)

    def reduce(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame [H, W, 3] as uint8 [224, 224, 3]."""
        return resized(frame, SIDE, SIDE)

    def compute(self, seconds: Sequence[Sequence[NDArray[np.uint8]]]) -> Array:
        """Return rows of some seconds; each is one pass, so that no other changes its digits."""
        vectors = [self.net(as_pictures(np.stack(second))) for second in seconds]
        features: Array = torch.nn.functional.normalize(torch.cat(vectors), dim=-1).numpy()
        return features

    def join(self, parts: Sequence[Array], media: ClipMedia) -> Array:
        """Return all seconds of the clip."""
        return finite(np.concatenate(parts), media.clip_key, self.name)
