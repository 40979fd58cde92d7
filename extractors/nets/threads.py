"""One thread of PyTorch for a clip, on every machine.

Another number of threads adds float32 numbers in another order. With one, the bytes of a feature do
not depend on the number of cores; the cores are used by several clips at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

THREADS = 1
"""Threads of PyTorch for one clip. Part of the provenance of features."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use `THREADS` threads in the calling thread, and afterwards what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
