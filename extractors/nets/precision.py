"""Which device and which arithmetic: chosen from what the machine has, and said in a sentence."""

from typing import Literal

import torch

from extractors.base import Precision
from schemas.failure import UsageError


def open_device(name: str) -> torch.device:
    """Return the torch device `cpu`, `cuda` or `cuda:<n>`; `UsageError` if it is not there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not known; use cpu, cuda or cuda:<number>")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} was asked for, but this machine shows {torch.cuda.device_count()} "
            "CUDA devices; use --device cpu, or check the driver with nvidia-smi"
        )
    return device


def resolve_precision(
    requested: Literal["fp32", "bf16", "fp16", "auto"], device: str = "cpu"
) -> tuple[Precision, str]:
    """Return the arithmetic to use on a device, and the reason as a sentence for the log.

    `auto` takes bf16 where the processor has instructions for it (AMX or AVX-512) or the CUDA
    device does, else fp32. `UsageError` for fp16 on a processor.
    """
    kind = open_device(device)
    fast = _bf16_hardware(kind)
    if requested == "auto":
        if fast:
            return "bf16", f"bf16, because {device} has {fast}"
        return "fp32", f"fp32, because {device} has no bf16 instructions"
    if requested == "bf16" and not fast:
        return "bf16", f"bf16 as asked; {device} has no bf16 instructions, so fp32 would be faster"
    if requested == "fp16" and kind.type == "cpu":
        raise UsageError("precision fp16 needs a CUDA device; on a processor use fp32 or bf16")
    if requested not in ("fp32", "bf16", "fp16"):
        raise UsageError(f"precision {requested!r} is not known; use fp32, bf16, fp16 or auto")
    return requested, f"{requested} as asked"


def has_amx() -> bool:
    """Whether the processor has tile instructions for bf16 (Intel AMX)."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def _bf16_hardware(device: torch.device) -> str | None:
    """Name of the bf16 hardware of a device, None without."""
    if device.type == "cuda":
        return "bf16 units" if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if has_amx():
        return "amx_bf16"
    return "avx512_bf16" if torch.cpu.get_capabilities().get("avx512_bf16") else None
