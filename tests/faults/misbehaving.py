"""Families that end badly on purpose, to show that the frame sees it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from schemas import KnownError, Reason, UsageError
from tests.faults.family import Family, Outcome


def nothing(dice: random.Random) -> None:
    """Draw no case."""


def hang(case: None, folder: Path) -> Outcome:
    """Never come back."""
    time.sleep(600)
    return Outcome.ROWS


def die(case: None, folder: Path) -> Outcome:
    """End the process as a fault in native code does."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return Outcome.ROWS


def devour(case: None, folder: Path) -> Outcome:
    """Ask for more memory than there may be."""
    np.ones(2**31, np.uint8)
    return Outcome.ROWS


def stumble(case: None, folder: Path) -> Outcome:
    """Raise what nobody expects."""
    raise KeyError("audio")


def leave_child(case: None, folder: Path) -> Outcome:
    """Leave a process behind."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    return Outcome.ROWS


def ramble(case: None, folder: Path) -> Outcome:
    """Say more than anybody reads."""
    raise UsageError("x" * 50_000)


def complain(case: None, folder: Path) -> Outcome:
    """Say what is wrong."""
    raise UsageError("--limit is -1; it must be at least 1")


def fail(case: None, folder: Path) -> Outcome:
    """End as a failure of the clip."""
    raise KnownError(Reason.CORRUPT, "no moov atom")


FAMILIES = tuple(
    Family(run.__name__, nothing, run, time_limit_s=3.0, memory_mb=512)
    for run in (hang, die, devour, stumble, leave_child, ramble, complain, fail)
)
