"""Floating-point precision of nets: chosen from what was asked for and what the device has.

One rule for extractors and models; the caller says which instructions its device has.
"""

from collections.abc import Mapping
from typing import Literal

from schemas.failure import UsageError
from schemas.messages import quoted

Precision = Literal["fp32", "bf16", "fp16"]
AskedPrecision = Literal["auto", "fp32", "bf16", "fp16"]


def cpu_bf16(capabilities: Mapping[str, object]) -> str | None:
    """Return the name of a CPU's bf16 instructions, given its capabilities; None without.

    >>> cpu_bf16({"avx512_bf16": True, "amx_bf16": False}), cpu_bf16({})
    ('avx512_bf16', None)
    """
    names = ("amx_bf16", "avx512_bf16")
    return next((name for name in names if capabilities.get(name)), None)


def choose_precision(asked: AskedPrecision, device: str, bf16: str | None) -> tuple[Precision, str]:
    """Return the precision to use on a device, and the reason as a sentence for the log.

    `device` is a torch device's name, `bf16` names its instructions for bf16 (None: it has none).
    `auto` takes bf16 where the device has them, else fp32. `UsageError` for fp16 on a CPU.
    """
    if asked == "auto":
        if bf16:
            return "bf16", f"bf16, because {device} has {bf16}"
        return "fp32", f"fp32, because {device} has no bf16 instructions"
    if asked == "bf16" and not bf16:
        return "bf16", f"bf16 as asked; {device} has no bf16 instructions, so fp32 would be faster"
    if asked == "fp16" and device.startswith("cpu"):
        raise UsageError("--precision fp16 needs a CUDA device; take bf16, fp32 or auto")
    if asked not in ("fp32", "bf16", "fp16"):
        raise UsageError(f"precision {quoted(asked)} is not known; use fp32, bf16, fp16 or auto")
    return asked, f"{asked} as asked"
