"""A process of this interpreter that answers requests, one line each.

Libraries that read what strangers wrote work in such a process: a request that takes too long,
eats the memory or crashes a library costs this process and one clip, not the job. It ends with its
parent.
"""

import os
import resource
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import psutil

from schemas import JobError

_START_S = 60.0
_LAST_WORDS = 300
"""Characters of a process's last line that an error repeats."""


class ChildTimeoutError(Exception):
    """A request was not answered in time; the process has been killed."""


class ChildDiedError(Exception):
    """The process ended instead of answering; the message holds its status and its last line."""


class ChildProcess:
    """One process that runs a module; started when it is first asked, and again after it ended."""

    def __init__(
        self, module: str, arguments: Sequence[str] = (), *, ahead: Sequence[str] = ()
    ) -> None:
        """Run a module; it finds packages in the folders `ahead` before any others."""
        self._command = [sys.executable, "-m", module, *arguments]
        self._path = os.pathsep.join(filter(None, [*ahead, *sys.path]))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the process
        self._buffer = b""

    @property
    def running(self) -> bool:
        """Whether the process has been started and not been closed since."""
        return self._process is not None

    def start(self) -> None:
        """Start the process unless it runs; `JobError` when it does not come up."""
        if self._process is not None:
            return
        self._log.seek(0)  # the place at which the process writes, too
        self._log.truncate()
        self._buffer = b""
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": self._path},
        )
        try:
            self._read_line(_START_S)
        except (ChildTimeoutError, ChildDiedError) as error:
            raise JobError(f"{self._command[2]} does not start: {error}; run beam check") from None

    def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Return the answer to one line; `ChildTimeoutError` or `ChildDiedError` without one."""
        self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        return self._read_line(timeout_s)

    def close(self) -> None:
        """Kill the process and everything that it started."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            child = psutil.Process(self._process.pid)
            for process in [child, *child.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self._process = None

    def _read_line(self, timeout_s: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        ends = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, ends - time.monotonic())):
                    self.close()
                    raise ChildTimeoutError(f"no answer after {timeout_s:g} s")
                block = os.read(self._process.stdout.fileno(), 2**16)
                if not block:
                    raise self._died()
                self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _died(self) -> ChildDiedError:
        """Clear up after the process ended by itself, and return the error that says how."""
        assert self._process is not None
        status = self._process.wait()
        self.close()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1][:_LAST_WORDS]}" if lines else ""
        return ChildDiedError(f"ended with status {status}{last}")


def answer_requests(
    answer: Callable[[bytes], bytes], most_memory: int, prepare: Callable[[], None] | None = None
) -> None:
    """Answer the parent's requests until it closes the line or ends; the child's side.

    The process may allocate `most_memory` bytes. What a library prints goes to the log, so that
    nobody takes it for an answer. `prepare` runs before the first request is let in.
    """
    _end_with_parent()
    resource.setrlimit(resource.RLIMIT_DATA, (most_memory, most_memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if prepare is not None:
        prepare()
    answers.write(b"ready\n")
    answers.flush()
    try:
        with suppress(BrokenPipeError):  # the parent has ended and wants no answer
            for line in sys.stdin.buffer:
                answers.write(answer(line.rstrip(b"\n")) + b"\n")
                answers.flush()
    finally:
        _kill_children()


def _end_with_parent() -> None:
    """End, with all children, when the parent has ended, however it did."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        _kill_children()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _kill_children() -> None:
    """Kill everything that this process has started."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
