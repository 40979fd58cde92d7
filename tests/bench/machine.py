"""What the figures were measured on, and how fast it can be at best."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
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
    """Best speed seen of a large matrix product and a large convolution, in 10^12 a second."""
    size = 2048
    one, other = (torch.randn(size, size).to(dtype) for _ in range(2))
    layout = torch.channels_last
    maps = torch.randn(16, 512, 28, 28).to(dtype).to(memory_format=layout)
    kernel = torch.randn(512, 512, 3, 3).to(dtype).to(memory_format=layout)
    product = 2 * size**3 / _best_of_five(lambda: torch.mm(one, other))
    products = 2 * 16 * 28 * 28 * 512 * 512 * 9
    convolution = products / _best_of_five(lambda: torch.conv2d(maps, kernel, padding=1))
    return max(product, convolution) / 1e12


def second_process() -> float:
    """How many times the matrix products of one process two processes do together, at best 2."""
    code = (
        "import time, torch; torch.set_num_threads(1); a = torch.randn(512, 512); n = 0\n"
        "until = time.monotonic() + 4\n"
        "while time.monotonic() < until: torch.mm(a, a); n += 1\n"
        "print(n)"
    )

    def work(processes: int) -> int:
        started = [
            subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        return sum(int(one.communicate()[0]) for one in started)

    return round(work(2) / work(1), 2)


def _best_of_five(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best
