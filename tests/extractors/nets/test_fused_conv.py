"""Packed weights give what plain ones give, to the bit."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from extractors.nets.fused_conv import FusedConv, fuse

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
CONVS: dict[str, tuple[nn.Conv2d | nn.Conv3d, tuple[int, ...]]] = {
    "first layer": (nn.Conv2d(3, 32, 7, stride=2, padding=3), (2, 3, 40, 40)),
    "3x3": (nn.Conv2d(32, 64, 3, padding=1), (2, 32, 14, 14)),
    "1x1 with stride": (nn.Conv2d(64, 32, 1, stride=2), (2, 64, 15, 15)),
    "over time": (nn.Conv3d(32, 48, (3, 1, 1), padding=(1, 0, 0)), (1, 32, 4, 7, 7)),
}


def maps(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    drawn = torch.randn(shape, generator=generator).to(dtype)
    return drawn.contiguous(memory_format=LAYOUTS[len(shape)])


@torch.inference_mode()
def with_plain_weights(conv: nn.Conv2d | nn.Conv3d, x: Tensor) -> Tensor:
    kernels: Any = torch.ops.mkldnn
    shape = (conv.padding, conv.stride, conv.dilation, conv.groups)
    out: Tensor = kernels._convolution_pointwise(x, conv.weight, conv.bias, *shape, "relu", [], "")
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CONVS)
@torch.inference_mode()
def test_packed_weights_give_the_bits_of_plain_ones(name: str, dtype: torch.dtype) -> None:
    conv, shape = CONVS[name]
    conv.to(dtype).to(memory_format=LAYOUTS[len(shape)])
    kernel = FusedConv(conv, relu=True)
    larger = (*shape[:-1], shape[-1] + 9)
    for size in (shape, larger, (1, *larger[1:]), shape):  # packed for the first one
        x = maps(size, dtype)
        assert torch.equal(kernel(x), with_plain_weights(conv, x))
    assert kernel._weight.is_mkldnn


class Block(nn.Module):
    """A residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the input."""
        return (self.second(self.first(x).relu()) + x).relu()


@torch.inference_mode()
def test_a_fused_net_agrees_with_the_net_and_packs_each_layer_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Block().eval().to(memory_format=torch.channels_last)
    x = maps((2, 8, 6, 6), torch.float32)
    wanted, fused = net(x), fuse(net)
    packed = []
    plain = FusedConv._packed

    def watched(self: FusedConv, x: Tensor) -> Tensor:
        if not self._weight.is_mkldnn:
            packed.append(self)
        return plain(self, x)

    monkeypatch.setattr(FusedConv, "_packed", watched)
    for _ in range(3):
        torch.testing.assert_close(fused(x), wanted)
    assert len(packed) == 2
