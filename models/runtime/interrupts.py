"""Ctrl-C, SIGTERM and a closed terminal: a command ends in order, with status 130."""

import contextlib
import logging
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

    What cleans up is not interrupted again; a program of `exit_at_once` ignores signals until its
    end, and logs no more. A signal that was ignored before stays so (nohup). Outside the main
    thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {sign: signal.getsignal(sign) for sign in SIGNALS}
    handled = [sign for sign in SIGNALS if before[sign] is not signal.SIG_IGN]
    ending = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal ending
        ending = _exit in before.values()
        for sign in handled:
            signal.signal(sign, signal.SIG_IGN)
        raise KeyboardInterrupt

    for sign in handled:
        signal.signal(sign, interrupt)
    try:
        yield
    finally:
        if ending:
            logging.disable()  # what libraries log as Python ends
        else:
            for sign in handled:
                signal.signal(sign, before[sign])


@contextlib.contextmanager
def kept_from_children() -> Iterator[None]:
    """Keep Ctrl-C and a closed terminal from the processes that are started in the block.

    A terminal sends them to all processes of a command; the one that started the others ends them.
    A signal that comes meanwhile is answered after the block, for what is half-started cannot be
    ended. What PyTorch does when such a process dies is undone: it raises wherever the program
    stands. Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {sign: signal.getsignal(sign) for sign in (*SIGNALS, signal.SIGCHLD)}
    for sign in SIGNALS:
        if before[sign] is not signal.SIG_IGN:
            signal.signal(sign, lambda number, _frame: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for sign, handler in before.items():
            signal.signal(sign, handler)
        for number in came:
            signal.raise_signal(number)


def exit_at_once() -> None:
    """Let a signal end this process with one line: for the time in which packages are imported."""
    for sign in SIGNALS:
        if signal.getsignal(sign) is not signal.SIG_IGN:
            signal.signal(sign, _exit)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    os.write(2, b"stopped\n")
    os._exit(STATUS)
