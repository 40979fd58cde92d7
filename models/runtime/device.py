"""Device and floating-point precision of a training: chosen and checked in one place."""

from typing import Literal

import torch

from schemas import UsageError

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


def choose_device(name: DeviceName) -> torch.device:
    """Return the device of a name; `auto` takes the GPU when there is one.

    `UsageError` when the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda was asked for and this machine has none; leave it out")
    return torch.device(name)


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Return the dtype of matrix products and convolutions; None for float32 throughout.

    `auto` takes bfloat16 where the device has instructions for it. `UsageError` for fp16 on a CPU.
    """
    if precision == "fp16":
        if device.type != "cuda":
            raise UsageError("--precision fp16 needs a CUDA device; take bf16, fp32 or auto")
        return torch.float16
    if precision == "bf16" or (precision == "auto" and has_bf16(device)):
        return torch.bfloat16
    return None


def has_bf16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
