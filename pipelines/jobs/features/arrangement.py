"""How many clips are in the nets at once: from the cores and the memory that a job may use."""

import os
from pathlib import Path

import psutil

from extractors.nets.threads import THREADS

PROCESS_MEMORY = 3 * 2**30
"""Bytes of a process with all nets and no clip."""
CLIP_MEMORY = 2**30
"""Bytes that a clip in the nets takes on top."""
_CGROUP = Path("/sys/fs/cgroup")


def arrange_clips(device: str, processes: int, cores: int, memory: int) -> tuple[int, str]:
    """Return how many clips each of some processes works on at once, and a sentence on it.

    On a CPU each clip has one core, as far as `memory` bytes go; a GPU takes one clip at a time.

    >>> arrange_clips("cpu", 1, 16, 8 * 2**30)
    (5, '5 clips at once, one thread of PyTorch each (16 cores, 8.0 GB of memory free)')
    """
    own_cores, own_memory = max(1, cores // processes), memory // processes
    by_memory = max(1, (own_memory - PROCESS_MEMORY) // CLIP_MEMORY)
    clips = min(own_cores, by_memory) if device == "cpu" else 1
    counted = "1 clip at a time" if clips == 1 else f"{clips} clips at once"
    each = f" in each of {processes} processes" if processes > 1 else ""
    threads = "one thread" if THREADS == 1 else f"{THREADS} threads"
    return clips, (
        f"{counted}{each}, {threads} of PyTorch each ({cores} cores, "
        f"{memory / 2**30:.1f} GB of memory free)"
    )


def usable_cores() -> int:
    """Return the number of cores that this process may use, a container's quota counted."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota, _, period = _limit("cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        return max(1, min(cores or 1, int(quota) // int(period)))
    return cores or 1


def usable_memory() -> int:
    """Return the bytes of memory that this process may still take, a container's limit counted."""
    free = int(psutil.virtual_memory().available)
    limit, used = _limit("memory.max"), _limit("memory.current")
    if limit.isdecimal() and used.isdecimal():
        return max(0, min(free, int(limit) - int(used)))
    return free


def _limit(name: str) -> str:
    """Return what the container's control group says; empty where it says nothing."""
    try:
        return (_CGROUP / name).read_text().strip()
    except OSError:
        return ""
