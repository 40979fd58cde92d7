"""What the figures were measured on, and how fast it can be at best."""

import importlib.metadata
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

import psutil
import torch

from pipelines.media.ffmpeg import ffmpeg_version


def describe() -> dict[str, Any]:
    """Processor, versions and load, for the head of a benchmark file."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in text]
    return {
        "processor": model[1] if model else platform.processor(),
        "instructions": flags,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "torchvision": importlib.metadata.version("torchvision"),
        "ffmpeg": ffmpeg_version(),
    }


def peak_tflops(dtype: torch.dtype) -> float:
    """Best of five large matrix products, in 10^12 operations a second."""
    size = 2048
    one, other = (torch.randn(size, size).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(one, other)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e12
