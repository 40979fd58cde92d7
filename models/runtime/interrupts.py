"""Ctrl-C, SIGTERM and a closed terminal: a command ends in order, with status 130."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

STATUS = 130
"""Exit status of an interrupted command."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for the first signal in the block and ignore those that follow.

    What cleans up is not interrupted again. A signal that was ignored before stays so (nohup).
    Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {sign: signal.getsignal(sign) for sign in SIGNALS}
    handled = [sign for sign in SIGNALS if before[sign] is not signal.SIG_IGN]

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        for sign in handled:
            signal.signal(sign, signal.SIG_IGN)
        raise KeyboardInterrupt

    for sign in handled:
        signal.signal(sign, interrupt)
    try:
        yield
    finally:
        for sign in handled:
            signal.signal(sign, before[sign])


def exit_at_once() -> None:
    """Let a signal end this process with one line: for the time in which packages are imported."""
    for sign in SIGNALS:
        if signal.getsignal(sign) is not signal.SIG_IGN:
            signal.signal(sign, _exit)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    os.write(2, b"stopped\n")
    os._exit(STATUS)
