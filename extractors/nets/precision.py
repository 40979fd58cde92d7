"""Which device and which precision: chosen from what the machine has, and said in a sentence."""

import torch

from schemas.failure import UsageError
from schemas.machine.precision import AskedPrecision, Precision, choose_precision, cpu_bf16
from schemas.messages import quoted


def open_device(name: str) -> torch.device:
    """Return the torch device `cpu`, `cuda` or `cuda:<n>`; `UsageError` if it is not there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {quoted(name)} is not known; use cpu, cuda or cuda:<number>")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r} was asked for, but this machine shows {torch.cuda.device_count()} "
            "CUDA devices; use --device cpu, or check the driver with nvidia-smi"
        )
    return device


def choose_device(name: str) -> str:
    """Return the device of a name; `auto` takes the GPU where there is one."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def resolve_precision(asked: AskedPrecision, device: str = "cpu") -> tuple[Precision, str]:
    """Return the precision to use on a device, and the reason as a sentence for the log.

    `auto` takes bf16 where the device has instructions for it (a CPU AMX or AVX-512), else fp32.
    `UsageError` for fp16 on a CPU.
    """
    return choose_precision(asked, device, _bf16_instructions(open_device(device)))


def _bf16_instructions(device: torch.device) -> str | None:
    """Return the name of a device's bf16 instructions, None without."""
    if device.type == "cuda":
        return "bf16 units" if torch.cuda.is_bf16_supported(including_emulation=False) else None
    return cpu_bf16(torch.cpu.get_capabilities())
