"""What PyTorch's loader processes read, without what they do to a program that is interrupted."""

import time
from collections.abc import Iterator
from typing import TypeVar

from torch.utils.data import DataLoader

from models.runtime.interrupts import kept_from_children
from schemas import JobError

T = TypeVar("T")

_SIGNAL_S = 1.0
"""Seconds in which a signal that ended loader processes reaches the training as well."""


def from_processes(loader: DataLoader[T]) -> Iterator[T]:
    """Yield what loader processes read; `JobError` when one of them was killed."""
    with kept_from_children():
        chunks = iter(loader)
    while True:
        try:
            yield next(chunks)
        except StopIteration:
            return
        except (EOFError, OSError, RuntimeError) as error:  # its end, or that of a pipe to it
            if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                raise
            time.sleep(_SIGNAL_S)
            raise JobError(
                "a process that reads features was killed, perhaps for want of memory; --resume "
                "goes on from the last save, --workers 0 reads in the training process"
            ) from None
