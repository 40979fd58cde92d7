"""The table gives the bits of the arithmetic."""

from types import ModuleType

import numpy as np
import pytest
import torch

from extractors import r2plus1d, resnet152


@pytest.mark.parametrize(
    ("net", "shape", "order"),
    [(resnet152, (2, 40, 50, 3), (0, 3, 1, 2)), (r2plus1d, (2, 8, 20, 16, 3), (0, 4, 1, 2, 3))],
)
def test_every_value_of_every_channel_is_that_of_the_arithmetic(
    net: ModuleType, shape: tuple[int, ...], order: tuple[int, ...]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    pixels.reshape(-1, 3)[:256] = np.arange(256, dtype=np.uint8)[:, None]
    shares = torch.from_numpy(pixels).float() / 255.0
    wanted = ((shares - net.MEAN) / net.STD).permute(order)
    assert torch.equal(net.normalised(pixels), wanted)
    assert torch.equal(net.normalised(pixels[::-1]), wanted.flip(0))
