"""ResNet-152: 2048 numbers for each frame, or their mean over a second.

Paper: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
    https://arxiv.org/abs/1512.03385
Published weights: torchvision, `ResNet152_Weights.IMAGENET1K_V1`
Differences from it: the classifier is left off; the features of LLP come from the same net.

Letters: T seconds.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from extractors.base import Array, finite
from extractors.frames import FrameExtractor, batches, resized, scaled_size
from extractors.nets.normalising import by_table, normalising_table
from schemas.media import ClipMedia

CROP = 224
MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])
TABLE = normalising_table(MEAN, STD)


class ResNet152(FrameExtractor):
    """ResNet-152 of each frame: float32 [T, 2048] (mean of a second) or [T, 8, 2048] (`keep`).

    Preprocessing of the LLP authors: shorter side 256 (bilinear), centre crop 224, ImageNet mean
    and std.
    """

    name = "resnet152"

    def reduce(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the centre, uint8 [224, 224, 3], of a frame [H, W, 3]."""
        small = resized(frame, *scaled_size(frame, self.recipe.resnet152_resize))
        top, left = (round((side - CROP) / 2.0) for side in small.shape[:2])
        return small[top : top + CROP, left : left + CROP]

    def compute(self, seconds: Sequence[Sequence[NDArray[np.uint8]]]) -> Array:
        """Return rows of some seconds; on a CPU one second is one pass, where small passes pay."""
        frames = [frame for second in seconds for frame in second]
        size = len(seconds[0]) if self.net.device.type == "cpu" else len(frames)
        maps = [self.net(normalised(np.stack(part))) for part in batches(frames, size)]
        features: Array = torch.cat([m.mean((2, 3)) for m in maps]).numpy()
        features = features.reshape(len(seconds), -1, 2048)
        return features if self.recipe.resnet152_frames == "keep" else features.mean(axis=1)

    def join(self, parts: Sequence[Array], media: ClipMedia) -> Array:
        """Return all seconds of the clip."""
        return finite(np.concatenate(parts), media.clip_key, self.name)


def normalised(frames: NDArray[np.uint8]) -> torch.Tensor:
    """Return frames, uint8 [N, H, W, 3], as float32 [N, 3, H, W] with ImageNet's mean and std."""
    return by_table(frames, TABLE).permute(0, 3, 1, 2)
