"""The nets behind the extractors: one copy of each in a process, ready to run.

`vggish` and `segments` share one VGGish, `resnet152` and `proposals` one ResNet-152. Batch
normalisation is folded into the convolutions when a net is loaded.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from extractors.base import Precision
from extractors.nets import seeded, vggish_net
from extractors.nets.fused_conv import can_fuse, fuse
from extractors.nets.precision import has_amx, open_device
from extractors.nets.torchvision_trunks import TRUNKS
from extractors.nets.weights import WEIGHTS, find_weights
from schemas.failure import UsageError

NetName = Literal["vggish", "resnet152", "r2plus1d"]

_BN = (nn.BatchNorm2d, nn.BatchNorm3d)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, eq=False)
class Net:
    """A net on its device, in its arithmetic, with what its numbers came from."""

    trunk: nn.Module
    device: torch.device
    dtype: torch.dtype
    layout: torch.memory_format
    standard: tuple[Tensor, Tensor] | None
    """Scale and shift of each output channel, for seeded weights; None for published ones."""
    provenance: Mapping[str, str]

    def __call__(self, batch: Tensor) -> Tensor:
        """Send float32 [N, ...] through the net; float32 on the processor, channels second.

        VGGish gives [N, 128], the picture nets their last map [N, C, ...].
        """
        if self.device.type == "cuda":
            batch = batch.pin_memory()
        with torch.inference_mode():
            batch = batch.to(self.device, self.dtype, non_blocking=True)
            out = self.trunk(batch.contiguous(memory_format=self.layout)).float().cpu()
        if self.standard is None:
            return out
        scale, shift = (v.view(-1, *[1] * (out.ndim - 2)) for v in self.standard)
        return out * scale + shift


_nets: dict[tuple[str, ...], Net] = {}
_lock = threading.Lock()


def shared_net(
    name: NetName,
    weights: str,
    device: str = "cpu",
    *,
    weights_dir: Path | None = None,
    precision: Precision = "fp32",
) -> Net:
    """Return this process's one copy of a net, loading it on first use.

    Raises `UsageError` for unknown weights, a device that is not there or missing files.
    """
    where = open_device(device)
    if precision == "fp16" and where.type != "cuda":
        raise UsageError("precision fp16 needs a CUDA device; on a processor use fp32 or bf16")
    seed = seeded.parse_weights(weights)
    key = (name, str(seed), str(where), str(weights_dir if seed is None else ""), precision)
    with _lock:
        if key not in _nets:
            _nets[key] = _load(name, seed, where, weights_dir, precision)
        return _nets[key]


def _load(
    name: NetName, seed: int | None, device: torch.device, weights_dir: Path | None, p: Precision
) -> Net:
    standard = None
    if seed is not None:
        trunk, standard = seeded.seeded_net(name, seed)
        provenance: dict[str, str] = {str(name): f"seeded:{seed}"}
    else:
        trunk, provenance = _pretrained(name, weights_dir)
    trunk = trunk.eval().requires_grad_(False)
    if name != "vggish":
        trunk = fold_batchnorm(trunk)
    layout = _layout(name, device, p)
    trunk = trunk.to(device, _DTYPES[p]).to(memory_format=layout)
    if can_fuse(device):
        trunk = fuse(trunk)
    return Net(trunk, device, _DTYPES[p], layout, standard, provenance)


def _layout(name: NetName, device: torch.device, precision: Precision) -> torch.memory_format:
    """Pick the order of axes in memory; the numbers agree to rounding either way.

    Channels last is faster in bf16 everywhere, and in fp32 on processors without AMX (measured:
    1.37 against 1.80 s for 16 frames through ResNet-152); with AMX fp32 was faster without.
    """
    if name == "vggish" or (device.type == "cpu" and precision == "fp32" and has_amx()):
        return torch.contiguous_format
    return torch.channels_last_3d if name == "r2plus1d" else torch.channels_last


def _pretrained(name: NetName, weights_dir: Path | None) -> tuple[nn.Module, dict[str, str]]:
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
    weights: str, weights_dir: Path | None
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], dict[str, str]]:
    """Return eigen vectors [128, 128] and means [128] of AudioSet's PCA, and their sha256."""
    seed = seeded.parse_weights(weights)
    if seed is not None:
        return seeded.seeded_pca(seed), {"vggish_pca": f"seeded:{seed}"}
    path, hashes = find_weights(WEIGHTS["vggish_pca"], weights_dir)
    with np.load(path) as arrays:
        return (arrays["pca_eigen_vectors"], arrays["pca_means"]), hashes
