"""The ffmpeg program, and child processes that can neither hang nor outlive their time.

The system's ffmpeg is used where there is one, else the one that the `imageio-ffmpeg` package
ships. A child's output goes to a file, never to a pipe (a full pipe and grpc's threads can lock
each other), and a child that runs too long is killed with its whole process group.
"""

import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from schemas import KnownError, Reason, UsageError


@functools.cache
def ffmpeg_binary() -> str:
    """Path of ffmpeg; `UsageError` when neither the system nor a package has one."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        raise UsageError(
            "no ffmpeg on this machine: install it (`apt-get install ffmpeg`, `brew install "
            "ffmpeg`) or the Python package `imageio-ffmpeg`"
        ) from None


@functools.cache
def ffmpeg_version() -> str:
    """First line's version word of `ffmpeg -version`, such as `5.1.9-0+deb12u1`."""
    text = subprocess.run(
        [ffmpeg_binary(), "-version"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    return text.split()[2]


def run_child(command: Sequence[str], *, timeout_s: float, log: Path) -> int:
    """Run a program to its end and return its exit status; what it says goes to `log`.

    Raises `KnownError` with reason `timeout` after `timeout_s` seconds; by then the child and
    every process that it started are dead.
    """
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            return child.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            name = Path(command[0]).name
            raise KnownError(Reason.TIMEOUT, f"{name} ran longer than {timeout_s:g} s") from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
