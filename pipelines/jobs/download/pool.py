"""The fetching processes of one worker, as the worker sees them."""

import os
import queue
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pipelines.jobs.download.fetch.messages import Request
from pipelines.jobs.download.fetch.process import Answer
from pipelines.store.scratch import make_scratch_folder
from schemas import JobError, Reason

SCRATCH_PREFIX = ".tmp-fetch-"
_START_S = 60.0
_GRACE_S = 5.0
"""A process keeps its time limit by itself; after so much more it is killed."""
_CLIPS_EACH = 500
"""Then a process makes way for a fresh one, whatever a library may have kept in memory."""


class Child:
    """One fetching process, started when it is first asked and again after it died."""

    def __init__(self, folder: Path, source: str) -> None:
        self._folder, self._source = folder, source
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        self._buffer = b""

    def ask(self, request: Request) -> Answer:
        """The answer to one request; a process that is too slow or dies gives a failure."""
        self.be_ready()
        assert self._process is not None
        assert self._process.stdin is not None
        self._asked += 1
        try:
            self._process.stdin.write(request.encode().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._died(request)
        line = self._read_line(request.limits.timeout_s + _GRACE_S)
        if line is None:
            self.close()
            return Answer(
                key=request.key, step="fetch", reason=Reason.TIMEOUT,
                detail=f"not here after {request.limits.timeout_s:g} s (--clip-timeout)",
            )  # fmt: skip
        return Answer.decode(line) if line else self._died(request)

    def be_ready(self) -> None:
        """Start the process unless it runs; a request then goes out at once."""
        if self._process is None or self._asked >= _CLIPS_EACH:
            self._start()

    def _died(self, request: Request) -> Answer:
        said = self._log().read_text(errors="replace").strip().splitlines()
        status = self._process.wait() if self._process else None
        self.close()
        last = f": {said[-1][:300]}" if said else ""
        return Answer(
            key=request.key, step="fetch", reason=Reason.CORRUPT,
            detail=f"the fetching process ended with status {status} on this clip{last}",
        )  # fmt: skip

    def _start(self) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log().open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipelines.jobs.download.fetch.process", str(self._folder),
                 self._source],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
        self._asked, self._buffer = 0, b""
        if self._read_line(_START_S) != b"ready":
            said = self._log().read_text(errors="replace").strip().splitlines()
            self.close()
            raise JobError(
                "the fetching process does not start: "
                f"{said[-1][:300] if said else 'it gave no message'}; run beam check"
            )

    def _log(self) -> Path:
        return self._folder / "child.log"

    def _read_line(self, timeout_s: float) -> bytes | None:
        """One line, empty when the process has ended, None when time is up."""
        assert self._process is not None
        assert self._process.stdout is not None
        ends = time.monotonic() + timeout_s
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                return None
            block = os.read(descriptor, 2**16)
            if not block:
                return b""
            self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def close(self) -> None:
        """End the process and everything that it started."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            me = psutil.Process(self._process.pid)
            for process in [me, *me.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self._process = None


class Pool:
    """Several children; `child()` lends one."""

    def __init__(self, size: int, folder: str | None, source: str) -> None:
        """`folder` is where to write, the system's temporary folder when None."""
        self.folder = make_scratch_folder(SCRATCH_PREFIX, folder)
        self._children = [Child(self.folder / f"child{i}", source) for i in range(size)]
        self._free: queue.SimpleQueue[Child] = queue.SimpleQueue()
        for child in self._children:
            self._free.put(child)

    @contextmanager
    def child(self) -> Iterator[Child]:
        """A child for the block alone."""
        child = self._free.get()
        try:
            yield child
        finally:
            self._free.put(child)

    @contextmanager
    def work(self) -> Iterator[Path]:
        """An empty folder for one try."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """End all children and remove what they wrote."""
        for child in self._children:
            child.close()
        shutil.rmtree(self.folder, ignore_errors=True)
