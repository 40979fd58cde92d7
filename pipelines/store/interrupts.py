"""Ctrl-C, SIGTERM and a closed terminal: one sentence, status 130, no process left behind.

A job can be killed at any moment and loses at most the units that it was working on, so an
interrupted one ends at once. A thread of its own waits for the signals: the main thread may be deep
in a net or in a runner, whose way of ending is a traceback per thread. A library may have started
threads before, and the system may give a signal to any of them: whichever gets it, Python writes
the signal's number to a pipe at once, and the waiting thread reads that. Child processes inherit
that the signals wait, so a Ctrl-C that reaches all of them is answered once, here; Beam's workers
ignore it (`pipelines.runners.local_runner`).
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
    came, written = os.pipe()
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, _leave_to_thread)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    threading.Thread(target=_wait, args=(signals, came), name="signals", daemon=True).start()


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


def _leave_to_thread(number: int, frame: object) -> None:
    """Do nothing in the main thread: the waiting one has read of the signal by then."""


def _wait(signals: set[signal.Signals], came: int) -> None:
    import psutil  # here, beside what the main thread imports

    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    while not {*os.read(came, 1)} & signals:  # another signal's handler writes there too
        pass
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
