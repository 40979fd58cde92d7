"""R(2+1)D of any depth, built as its authors' program builds it.

Paper: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition",
    CVPR 2018, https://arxiv.org/abs/1711.11248
Authors' code: https://github.com/facebookresearch/VMZ (c2/lib/models)
A 3x3x3 convolution is a spatial one to M channels and a temporal one behind it, M such that both
have as many weights as the whole; each takes M from its own inputs and outputs, also within a
bottleneck (144 for 64 to 64). torchvision's bottleneck takes it from the inputs of the block.

Letters: N views, F frames, S side, W width of the first stage.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from models.contract.batch import Batch

BLOCKS = {
    18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3),
}  # fmt: skip
"""Blocks of the four stages, by depth."""
BOTTLENECKS_FROM = 50
"""Depth from which on a block is a bottleneck."""
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
"""Of Kinetics' frames in 0..1, by colour."""


def norm(channels: int) -> nn.BatchNorm3d:
    """Return batch normalisation as the authors' program has it."""
    return nn.BatchNorm3d(channels, eps=1e-3, momentum=0.1)


def middle_channels(inputs: int, outputs: int) -> int:
    """Return M, the channels between the spatial and the temporal convolution.

    >>> middle_channels(64, 64), middle_channels(512, 512)
    (144, 1152)
    """
    return 27 * inputs * outputs // (9 * inputs + 3 * outputs)


def factored(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """Return a 3x3x3 convolution as a spatial and a temporal one."""
    middle = middle_channels(inputs, outputs)
    spatial = nn.Conv3d(inputs, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
    temporal = nn.Conv3d(middle, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False)
    return [spatial, norm(middle), nn.ReLU(), temporal]


class Block(nn.Module):
    """Some layers and a way around them; `expansion` times as many channels come out."""

    def __init__(self, layers: list[nn.Module], inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.around: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            projection = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.around = nn.Sequential(projection, norm(outputs))

    def forward(self, maps: Tensor) -> Tensor:
        """Map [N, C, F, S, S] to [N, C', F', S', S']."""
        return torch.relu(self.layers(maps) + self.around(maps))


def simple(inputs: int, planes: int, stride: int) -> Block:
    """Return a block of two 3x3x3 convolutions."""
    first = [*factored(inputs, planes, stride), norm(planes), nn.ReLU()]
    return Block([*first, *factored(planes, planes), norm(planes)], inputs, planes, stride)


def bottleneck(inputs: int, planes: int, stride: int) -> Block:
    """Return a block of a 3x3x3 convolution between two 1x1x1 ones."""
    layers = [
        nn.Conv3d(inputs, planes, 1, bias=False), norm(planes), nn.ReLU(),
        *factored(planes, planes, stride), norm(planes), nn.ReLU(),
        nn.Conv3d(planes, 4 * planes, 1, bias=False), norm(4 * planes),
    ]  # fmt: skip
    return Block(layers, inputs, 4 * planes, stride)


class R2Plus1D(nn.Module):
    """R(2+1)D without its last layer: frames of 0..255 in, one vector per view out."""

    def __init__(self, depth: int, width: int = 64) -> None:
        """Build a net of a depth of `BLOCKS` whose first stage is `width` wide (the paper: 64)."""
        super().__init__()
        stem = 45 * width // 64
        self.stem = nn.Sequential(
            nn.Conv3d(3, stem, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False), norm(stem), nn.ReLU(),
            nn.Conv3d(stem, width, (3, 1, 1), 1, (1, 0, 0), bias=False), norm(width), nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )  # fmt: skip
        make: Callable[[int, int, int], Block]
        make, wider = (bottleneck, 4) if depth >= BOTTLENECKS_FROM else (simple, 1)
        inputs, stages = width, []
        for number, count in enumerate(BLOCKS[depth]):
            planes = width * 2**number
            blocks = []
            for place in range(count):
                blocks.append(make(inputs, planes, 2 if number and not place else 1))
                inputs = wider * planes
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.outputs = inputs
        """Width of the vector."""
        self.register_buffer("mean", 255 * torch.tensor(MEAN)[:, None, None, None])
        self.register_buffer("std", 255 * torch.tensor(STD)[:, None, None, None])
        self.mean: Tensor
        self.std: Tensor
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames [N, F, S, S, 3] of 0..255 to vectors [N, `outputs`]."""
        pixels = (frames.permute(0, 4, 1, 2, 3).float() - self.mean) / self.std
        return cast(Tensor, self.stages(self.stem(pixels))).mean(dim=(2, 3, 4))


def seen(trunk: R2Plus1D, batch: Batch) -> list[Tensor]:
    """Return the vectors of each view of `frames` [B, V, F, S, S, 3]: V times [B, D].

    Views go through the net one after another, so that many of them take no more memory.
    """
    frames = batch.features["frames"]
    return [trunk(frames[:, view]) for view in range(frames.shape[1])]


def mean_over_views(scores: list[Tensor], present: Tensor) -> Tensor:
    """Average probabilities [B, C] of V views over those that are there, bool [B, V].

    A clip without any counts its blank views.
    """
    there = present.float()
    weight = torch.where(there.sum(dim=1, keepdim=True) > 0, there, 1.0)
    weight = weight / weight.sum(dim=1, keepdim=True)
    return torch.einsum("vbc,bv->bc", torch.stack(scores), weight)
