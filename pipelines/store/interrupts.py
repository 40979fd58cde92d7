"""Ctrl-C, SIGTERM and a closed terminal: one sentence, status 130, no process left behind.

A job can be killed at any moment and loses at most the units that it was working on, so an
interrupted one ends at once. A thread of its own waits for the signals: the main thread may be deep
in a net or in a runner, whose way of ending is a traceback per thread. Child processes inherit that
the signals wait, so a Ctrl-C that reaches all of them is answered once, here.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

INTERRUPTED = 130
STOPPED = "stopped; the same command goes on where it stopped"
_LONGEST_S = 10.0
"""What is released may be in a bucket that does not answer."""
_SHOW_CURSOR = "\r\x1b[?25h\x1b[K"
_sentences = [STOPPED]
_releases: list[Callable[[], object]] = []
_ending = threading.Event()
_released = threading.Event()


def end_on_signals() -> None:
    """Let the signals end this process from now on; for the start of a program.

    One that it was started to ignore, as a shell does for its background jobs, stays ignored.
    """
    signals = {
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    threading.Thread(target=_wait, args=(signals,), name="signals", daemon=True).start()


@contextlib.contextmanager
def released_on_signals(release: Callable[[], object]) -> Iterator[None]:
    """Call `release` when a signal ends the process while the block runs.

    By then the child processes are dead; threads may still be at work.
    """
    _releases.append(release)
    try:
        yield
    finally:
        _releases.remove(release)


@contextlib.contextmanager
def said_on_signals(sentence: str) -> Iterator[None]:
    """Say something else than `STOPPED` when a signal ends the process while the block runs."""
    _sentences.append(sentence)
    try:
        yield
    finally:
        _sentences.remove(sentence)


def wait_if_ending() -> None:
    """Never return once a signal has come; for the moment before something is committed.

    What a thread meets from then on, such as a child process that is gone, is no clip's failure.
    """
    if _ending.is_set():
        threading.Event().wait()


def _wait(signals: set[signal.Signals]) -> None:
    import psutil  # here, beside what the main thread imports

    signal.sigwait(signals)
    _ending.set()
    screen = _SHOW_CURSOR if os.isatty(2) else ""  # a progress bar hides it
    with contextlib.suppress(OSError):
        os.write(2, f"{screen}{_sentences[-1]}\n".encode())
    _silence()
    for sign in (signal.SIGSTOP, signal.SIGKILL, signal.SIGKILL):  # none sees another one die
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(sign)
    threading.Thread(target=_release_all, name="releases", daemon=True).start()
    _released.wait(_LONGEST_S)
    os._exit(INTERRUPTED)


def _silence() -> None:
    """Drop what threads still say: that the children which they wait for are gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _release_all() -> None:
    for release in reversed(_releases):
        with contextlib.suppress(Exception):  # the process ends, whatever this meets
            release()
    _released.set()
