"""Kill a process with a real SIGKILL at its n-th change of the disk.

The work runs in a fresh child process. A profile hook there sees every call that changes the disk,
from whatever code it comes: writes to open files (before and after each), renames, removals, new
folders, fsync. Nothing of the product is replaced.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from io import BufferedWriter
from types import FrameType
from typing import Any

from tests.killed import count_kill

_CHANGES = ("replace", "rename", "fsync", "unlink", "remove", "mkdir", "rmdir", "truncate")
_PRELOADED = (
    "pipelines.cli", "pipelines.commands.npy_import", "pipelines.jobs.pack.pack",
    "tests.stores.units",
)  # fmt: skip

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.pipelines.kills", *_PRELOADED])


def is_killed_at(step: int, work: Callable[..., object], *arguments: object) -> bool:
    """Run `work` in a child that is killed before its change number `step`, counted from 0.

    Returns whether it was killed: False when the work came to its end before. A child that ends in
    any other way is an error.
    """
    child = _context.Process(target=_run, args=(step, work, arguments))
    child.start()
    child.join()
    status = child.exitcode
    child.close()
    assert status in (0, -signal.SIGKILL), f"the work ended with status {status}"
    if status == 0:
        return False
    count_kill()
    return True


def _run(step: int, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    left = step

    def watch(frame: FrameType, event: str, call: Any) -> None:
        nonlocal left
        if not _changes_disk(event, call):
            return
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    threading.setprofile(watch)  # for the threads that the work starts
    sys.setprofile(watch)
    try:
        work(*arguments)
    finally:
        sys.setprofile(None)


def _changes_disk(event: str, call: Any) -> bool:
    """Return whether a call of a C function changes the disk; a write counts again afterwards."""
    if event not in ("c_call", "c_return"):
        return False
    name, owner = call.__name__, call.__self__
    if name in ("write", "flush") and isinstance(owner, BufferedWriter):
        return owner.name not in ("<stdout>", "<stderr>")
    return event == "c_call" and name in _CHANGES and call.__module__ == "posix"
