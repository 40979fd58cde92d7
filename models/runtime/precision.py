"""Arithmetic of the training: float32, or float16 and bfloat16 where they are safe."""

from typing import Literal

import torch

from schemas import UsageError

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def low_precision(asked: Precision, device: torch.device) -> torch.dtype | None:
    """Give the narrow type of matrix products and convolutions; None for float32 throughout.

    `auto` takes bfloat16 where the device has instructions for it. `UsageError` for fp16 on a
    processor.
    """
    if asked == "fp16":
        if device.type != "cuda":
            raise UsageError("--precision fp16 needs a CUDA device; take bf16, fp32 or auto")
        return torch.float16
    if asked == "bf16" or (asked == "auto" and has_bf16(device)):
        return torch.bfloat16
    return None


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
