"""Device and floating-point precision of a training: chosen and checked in one place."""

from typing import Literal

import torch

from schemas import UsageError
from schemas.machine.precision import AskedPrecision, choose_precision, cpu_bf16

DeviceName = Literal["auto", "cpu", "cuda"]


def choose_device(name: DeviceName) -> torch.device:
    """Return the device of a name; `auto` takes the GPU when there is one.

    `UsageError` when the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda was asked for and this machine has none; leave it out")
    return torch.device(name)


def autocast_dtype(precision: AskedPrecision, device: torch.device) -> torch.dtype | None:
    """Return the dtype of matrix products and convolutions; None for float32 throughout.

    `auto` takes bfloat16 where the device has instructions for it. `UsageError` for fp16 on a CPU.
    """
    if device.type == "cuda":
        bf16 = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else None
    else:
        bf16 = cpu_bf16(torch.cpu.get_capabilities())
    chosen, _ = choose_precision(precision, device.type, bf16)
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[chosen]
