"""Random weights from a seed, calibrated on drawn frames, videos and waveforms.

For tests, for the generated data set and for machines without network. Such a net knows nothing of
the world, yet its features are finite, of unit size, and differ where frames or waveforms differ,
so that a model can learn from them. Every output channel has mean 0 and std 1 over drawn
material. The same seed gives the same numbers in every process.

The weights are drawn anew at each load; what calibration measured (a small file) is kept in the
cache folder.
"""

import logging
import math
import os
import re
import tempfile
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor, nn

from extractors.base import Array
from extractors.nets.calibration_inputs import draw_frames, draw_videos, draw_waveforms
from extractors.nets.threads import one_thread
from extractors.nets.torchvision_trunks import TRUNKS
from extractors.nets.vggish_input import log_mel_examples
from extractors.nets.vggish_net import Net as VGGishNet
from schemas.failure import UsageError
from schemas.published import cache_folder

State = dict[str, Tensor]

log = logging.getLogger(__name__)

VERSION = 2
"""Raised whenever drawing or calibration changes."""
BRANCH = {"resnet152": 0.1, "r2plus1d": 0.5}
"""Scale of the residual branches: small in the deep net, so that depth does not wash out detail.

A linear probe on ResNet-152 features of 12 drawn things (chance 0.08, 192 test frames) scored
0.67 so, 0.62 with branches of 0.3, 0.61 without the drawn first layer, 0.37 without thresholds.
"""


def parse_weights(weights: str) -> int | None:
    """Return the seed of `seeded[:N]`, None for `pretrained`; `UsageError` for anything else.

    >>> parse_weights("seeded:7"), parse_weights("seeded"), parse_weights("pretrained")
    (7, 0, None)
    """
    if weights == "pretrained":
        return None
    if match := re.fullmatch(r"seeded(?::(\d+))?", weights):
        return int(match[1] or 0)
    raise UsageError(
        f"weights {weights!r} are not known; use pretrained, seeded or seeded:<number>"
    )


def seeded_net(name: str, seed: int) -> tuple[nn.Module, tuple[Tensor, Tensor] | None]:
    """Return a net with calibrated random weights, and scale and shift of its output channels."""
    net = drawn_net(name, seed)
    if name == "vggish":
        _apply_vggish(net, cached(f"{name}-{seed}", lambda: _calibrate_vggish(net, seed)))
        return net.eval(), None
    state = cached(f"{name}-{seed}", lambda: _calibrate_visual(net, name, seed))
    standard = state["standard.scale"], state["standard.shift"]
    net.load_state_dict({k: v for k, v in state.items() if "running" in k}, strict=False)
    return net.eval(), standard


def drawn_net(name: str, seed: int) -> nn.Module:
    """Return a net with weights drawn after He et al. (ICCV 2015), not yet calibrated."""
    with torch.device("meta"):
        net: nn.Module = VGGishNet() if name == "vggish" else TRUNKS[name]()
    net = net.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.reset_parameters()  # and random thresholds, so that channels cut differently
            module.bias.data.normal_(0.0, 1.0, generator=generator)
    if name == "resnet152":
        _draw_first_layer(net.get_parameter("conv1.weight"), generator)
    if name in BRANCH:
        _shrink_branches(net, BRANCH[name])
    return net


def _draw_first_layer(weight: Tensor, generator: torch.Generator) -> None:
    """Fill the 7x7 filters [64, 3, 7, 7] with coloured blobs and, in turn, coloured bars."""
    y, x = torch.meshgrid(torch.arange(-3.0, 4.0), torch.arange(-3.0, 4.0), indexing="ij")
    for number, filters in enumerate(weight.data):
        size, angle, pitch, phase = torch.rand(4, generator=generator).tolist()
        colour = torch.randn(3, generator=generator)
        drawn = torch.exp(-(x**2 + y**2) / 2 / (0.6 + 1.4 * size) ** 2)
        if number % 2:
            along = x * math.cos(angle * math.pi) + y * math.sin(angle * math.pi)
            drawn = drawn * torch.cos((0.5 + 1.7 * pitch) * along + 2 * math.pi * phase)
            colour = 0.6 + 0.5 * colour
        filters.copy_(drawn * colour[:, None, None] / (drawn * colour[:, None, None]).norm())


def _shrink_branches(net: nn.Module, scale: float) -> None:
    """Scale the last normalisation of every residual branch."""
    for block in net.modules():
        last = getattr(block, "bn3", None)  # ResNet's bottleneck
        if last is None and hasattr(block, "conv2") and isinstance(block.conv2, nn.Sequential):
            last = block.conv2[-1]  # block of R(2+1)D
        if last is not None:
            last.weight.data *= scale
            last.bias.data *= scale


@one_thread()
def _calibrate_visual(net: nn.Module, name: str, seed: int) -> State:
    """Measure batch statistics on drawn material, and mean and std of the outputs."""
    if name == "r2plus1d":
        drawn = draw_videos(32, 8, 112, seed).transpose(0, 4, 1, 2, 3)
    else:
        drawn = draw_frames(48, 224, seed).transpose(0, 3, 1, 2)
    frames = (torch.from_numpy(drawn.copy()).float() / 255.0 - 0.45) / 0.225
    batches = torch.split(frames, 16)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = None  # the plain mean over all batches
    net.train()
    with torch.inference_mode():
        features = torch.cat([net(batch).flatten(2).mean(2) for batch in batches])
    measured = {k: v for k, v in net.state_dict().items() if "running" in k}
    std, mean = torch.std_mean(features, dim=0)
    scale = 1.0 / std.clamp_min(0.5 * std.median())  # no silent channel blown up
    return measured | {"standard.scale": scale, "standard.shift": -mean * scale}


@one_thread()
def _calibrate_vggish(net: nn.Module, seed: int) -> State:
    """Centre and scale the inputs of every layer of VGGish, one after the other.

    VGGish has no batch normalisation, so what it would do is put into weights and biases.
    """
    assert isinstance(net, VGGishNet)
    x = torch.from_numpy(_drawn_examples(seed))
    measured: State = {}

    def standardise(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        std, mean = torch.std_mean(output.transpose(0, 1).flatten(1), dim=1)
        scale = 1.0 / (std + 1e-3)
        measured[f"scale.{len(measured) // 2}"] = scale
        measured[f"shift.{len(measured) // 2}"] = -mean * scale
        shape = (1, -1, *[1] * (output.ndim - 2))
        return (output - mean.view(shape)) * scale.view(shape)

    hooks = [layer.register_forward_hook(standardise) for layer in net.children()]
    with torch.inference_mode():
        net(x)
    for hook in hooks:
        hook.remove()
    return measured


def _apply_vggish(net: nn.Module, measured: State) -> None:
    """Put the measured scale and shift of each layer into its weights and bias."""
    for number, layer in enumerate(net.children()):
        scale, shift = measured[f"scale.{number}"], measured[f"shift.{number}"]
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        assert layer.bias is not None
        layer.weight.data *= scale.view(-1, *[1] * (layer.weight.ndim - 1))
        layer.bias.data.copy_(shift)


def _drawn_examples(seed: int) -> Array:
    """Return log-mel examples [96, 96, 64] of drawn waveforms."""
    return np.concatenate(
        [log_mel_examples(waveform) for waveform in draw_waveforms(96, 1.0, seed)]
    )


@one_thread()
def seeded_pca(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a PCA of the seeded VGGish, in the form of AudioSet's: vectors [128, 128], means."""
    net, _ = seeded_net("vggish", seed)
    with torch.inference_mode():
        outputs = net(torch.from_numpy(_drawn_examples(seed + 1))).double().numpy()
    means = outputs.mean(axis=0)
    _, strengths, vectors = np.linalg.svd(outputs - means, full_matrices=True)
    spread = np.full(128, 1.0)
    spread[: len(strengths)] = np.maximum(strengths / len(outputs) ** 0.5, 1e-2)
    return vectors / spread[:, None], means


def cached(name: str, measure: Callable[[], State]) -> State:
    """Return what `measure` gives, from the cache folder if it is there; written atomically."""
    path = cache_folder() / "seeded" / f"{name}-v{VERSION}.safetensors"
    if path.is_file():
        return load_file(path)
    log.info("calibrating seeded weights %s, once per machine", name)
    state = {key: value.contiguous() for key, value in measure().items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as scratch:
            scratch.write(save(state))
        os.replace(scratch.name, path)
    except OSError as error:
        log.warning("cannot keep calibrated weights in %s (%s)", path.parent, error)
    return state
