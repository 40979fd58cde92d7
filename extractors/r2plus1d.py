"""R(2+1)D-18: 512 numbers for the motion of each second.

Paper: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition",
    CVPR 2018, https://arxiv.org/abs/1711.11248
Published weights: torchvision, `R2Plus1D_18_Weights.KINETICS400_V1`
Differences from it: the classifier is left off; the LLP authors feed 8 frames (a second), squashed
to 112x112 without a crop, where torchvision's recipe resizes to 128x171 and crops.

Letters: T seconds.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from extractors.base import Array, finite
from extractors.frames import FrameExtractor, batches, resized
from extractors.nets.normalising import by_table, normalising_table
from schemas.media import ClipMedia

SIDE = 112
MEAN = torch.tensor([0.43216, 0.394666, 0.37645])
STD = torch.tensor([0.22803, 0.22145, 0.216989])
TABLE = normalising_table(MEAN, STD)
CPU_BATCH = 2
"""Seconds in one pass on a CPU."""


class R2Plus1D(FrameExtractor):
    """R(2+1)D-18 of each second's 8 frames: float32 [T, 512]."""

    name = "r2plus1d"

    def reduce(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a frame [H, W, 3] as uint8 [112, 112, 3]."""
        return resized(frame, SIDE, SIDE)

    def compute(self, seconds: Sequence[Sequence[NDArray[np.uint8]]]) -> Array:
        """Return rows of some seconds."""
        size = CPU_BATCH if self.net.device.type == "cpu" else len(seconds)
        maps = [self.net(normalised(np.array(part))) for part in batches(seconds, size)]
        features: Array = torch.cat([m.mean((2, 3, 4)) for m in maps]).numpy()
        return features

    def join(self, parts: Sequence[Array], media: ClipMedia) -> Array:
        """Return all seconds of the clip."""
        return finite(np.concatenate(parts), media.clip_key, self.name)


def normalised(seconds: NDArray[np.uint8]) -> torch.Tensor:
    """Return uint8 [N, 8, H, W, 3] as float32 [N, 3, 8, H, W] with Kinetics' mean and std."""
    return by_table(seconds, TABLE).permute(0, 4, 1, 2, 3)
