"""Child processes, ffmpeg above all, that can neither hang nor outlive their time.

A child's output goes to a file, never to a pipe (a full pipe and grpc's threads can lock each
other), and a child that runs too long is killed with its whole process group.
"""

import functools
import os
import resource
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from schemas import KnownError, Reason
from schemas.machine.ffmpeg import ffmpeg_binary

MOST_MEMORY = 4 * 2**30 + 64 * 2**20 * (os.cpu_count() or 1)
"""Bytes that a process which reads media may allocate: a film, and the stacks of its threads."""


@functools.cache
def ffmpeg_version() -> str:
    """Return the version word of `ffmpeg -version`, such as `5.1.9-0+deb12u1`."""
    text = subprocess.run(
        [ffmpeg_binary(), "-version"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    return text.split()[2]


def plain_number(value: float) -> str:
    """Return a number as ffmpeg reads it, without an exponent.

    >>> plain_number(1e-05), plain_number(30.0)
    ('0.00001', '30.0')
    """
    return format(Decimal(repr(float(value))), "f")


def run_child(
    command: Sequence[str], *, timeout_s: float, log: Path, most_memory: int | None = None
) -> int:
    """Run a program to its end and return its exit status; what it says goes to `log`.

    It may allocate `most_memory` bytes where the system can hold it to that (Linux). Raises
    `KnownError` with reason `timeout` after `timeout_s` seconds; by then the child and every
    process that it started are dead.
    """
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        if most_memory is not None and hasattr(resource, "prlimit"):
            with suppress(ProcessLookupError):
                resource.prlimit(child.pid, resource.RLIMIT_DATA, (most_memory, most_memory))
        try:
            return child.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            name = Path(command[0]).name
            raise KnownError(Reason.TIMEOUT, f"{name} ran longer than {timeout_s:g} s") from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
