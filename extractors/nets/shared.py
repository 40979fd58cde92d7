"""The nets behind the extractors: one copy of each in a process, ready to run.

`vggish` and `segments` share one VGGish, `resnet152` and `proposals` one ResNet-152. Batch
normalisation is folded into the convolutions when a net is loaded.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from extractors.base import LoadOptions
from extractors.nets import seeded, vggish_net
from extractors.nets.contrastive import CONTRASTIVE, media_tower
from extractors.nets.fused_conv import can_fuse, fuse
from extractors.nets.precision import open_device
from extractors.nets.threads import one_thread
from extractors.nets.torchvision_trunks import TRUNKS
from extractors.nets.weights import WEIGHTS, find_weights
from schemas.machine.precision import Precision, choose_precision

_BN = (nn.BatchNorm2d, nn.BatchNorm3d)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, eq=False)
class Net:
    """A net on its device, in its precision, with what its weights came from."""

    trunk: nn.Module
    device: torch.device
    dtype: torch.dtype
    layout: torch.memory_format
    output_scaling: tuple[Tensor, Tensor] | None
    """Scale and shift of each output channel, for seeded weights; None for published ones."""
    provenance: Mapping[str, str]

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the net's output for float32 [N, ...]: float32 on the CPU, channels second.

        VGGish gives [N, 128], the visual nets their last map [N, C, ...].
        """
        if self.device.type == "cuda":
            batch = batch.pin_memory()
        with torch.inference_mode(), one_thread():
            batch = batch.to(self.device, self.dtype, non_blocking=True)
            out = self.trunk(batch.contiguous(memory_format=self.layout)).float().cpu()
        if self.output_scaling is None:
            return out
        scale, shift = (v.view(-1, *[1] * (out.ndim - 2)) for v in self.output_scaling)
        return out * scale + shift


_nets: dict[tuple[str, ...], Net] = {}
_lock = threading.Lock()


def shared_net(name: str, options: LoadOptions) -> Net:
    """Return this process's one copy of a net, loading it on first use.

    Raises `UsageError` for unknown weights, a device that is not there or missing files.
    """
    device = open_device(options.device)
    precision, _ = choose_precision(options.precision, device.type, None)
    seed = seeded.parse_weights(options.weights)
    weights_dir = options.weights_dir if seed is None else None
    key = (name, str(seed), str(device), str(weights_dir), precision)
    with _lock:
        if key not in _nets:
            _nets[key] = _load(name, seed, device, weights_dir, precision)
        return _nets[key]


def _load(
    name: str,
    seed: int | None,
    device: torch.device,
    weights_dir: Path | None,
    precision: Precision,
) -> Net:
    output_scaling = None
    if name in CONTRASTIVE:
        trunk, output_scaling, provenance = media_tower(name, seed, weights_dir)
        trunk = trunk.requires_grad_(False).to(device)
        layout = torch.contiguous_format
        return Net(trunk, device, torch.float32, layout, output_scaling, provenance)
    if seed is not None:
        trunk, output_scaling = seeded.seeded_net(name, seed)
        provenance = {name: f"seeded:{seed}"}
    else:
        trunk, provenance = _pretrained(name, weights_dir)
    trunk = trunk.eval().requires_grad_(False)
    if name in TRUNKS:
        trunk = fold_batchnorm(trunk)
    dtype, layout = _DTYPES[precision], _layout(name)
    trunk = trunk.to(device, dtype).to(memory_format=layout)
    if can_fuse(device):
        trunk = fuse(trunk)
    return Net(trunk, device, dtype, layout, output_scaling, provenance)


def _layout(name: str) -> torch.memory_format:
    """Return the order of axes in memory: channels last, as packed kernels have it."""
    if name == "vggish":  # one channel only: both orders are the same
        return torch.contiguous_format
    return torch.channels_last_3d if name == "r2plus1d" else torch.channels_last


def _pretrained(name: str, weights_dir: Path | None) -> tuple[nn.Module, dict[str, str]]:
    path, hashes = find_weights(WEIGHTS[name], weights_dir)
    if name == "vggish":
        net: nn.Module = vggish_net.Net()
        net.load_state_dict(vggish_net.from_saved_model(path))
        return net, hashes
    net = TRUNKS[name]()
    state = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict({k: v for k, v in state.items() if not k.startswith("fc.")})
    return net, hashes


def fold_batchnorm(net: nn.Module) -> nn.Module:
    """Return the net with each batch normalisation merged into the convolution before it.

    For evaluation only. The outputs agree with those of the unfolded net to rounding.
    """
    graph = fx.symbolic_trace(net)
    for node in list(graph.graph.nodes):
        norm = graph.get_submodule(node.target) if node.op == "call_module" else None
        if not isinstance(norm, _BN):
            continue
        before = node.args[0]
        conv = graph.get_submodule(before.target)
        assert isinstance(conv, nn.Conv2d | nn.Conv3d)
        graph.set_submodule(before.target, fuse_conv_bn_eval(conv, norm))
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def vggish_pca(
    options: LoadOptions,
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], dict[str, str]]:
    """Return eigen vectors [128, 128] and means [128] of AudioSet's PCA, and their sha256."""
    seed = seeded.parse_weights(options.weights)
    if seed is not None:
        return seeded.seeded_pca(seed), {"vggish_pca": f"seeded:{seed}"}
    path, hashes = find_weights(WEIGHTS["vggish_pca"], options.weights_dir)
    with np.load(path) as arrays:
        return (arrays["pca_eigen_vectors"], arrays["pca_means"]), hashes
