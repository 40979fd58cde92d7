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

from pipelines.jobs.download.fetch.messages import FetchRequest, FetchResult
from pipelines.store.scratch import make_scratch_folder
from schemas import JobError, Reason

SCRATCH_PREFIX = ".tmp-fetch-"
_START_S = 60.0
_GRACE_S = 5.0
"""A process keeps its time limit by itself; it is killed after this much more, in seconds."""
_CLIPS_PER_PROCESS = 500
"""A process is replaced after this many, whatever a library may have kept in memory."""


class FetchProcess:
    """One fetching process, started by its first request and again after it died."""

    def __init__(self, folder: Path, source: str) -> None:
        self._folder, self._source = folder, source
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        self._buffer = b""

    def ask(self, request: FetchRequest) -> FetchResult:
        """Return the result of one request; a process that is too slow or dies is a failure."""
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
            return FetchResult(
                key=request.key, step="fetch", reason=Reason.TIMEOUT,
                detail=f"not here after {request.limits.timeout_s:g} s (--clip-timeout)",
            )  # fmt: skip
        return FetchResult.decode(line) if line else self._died(request)

    def be_ready(self) -> None:
        """Start the process unless it runs, so that the next request goes out at once."""
        if self._process is None or self._asked >= _CLIPS_PER_PROCESS:
            self._start()

    def _died(self, request: FetchRequest) -> FetchResult:
        said = self._log().read_text(errors="replace").strip().splitlines()
        status = self._process.wait() if self._process else None
        self.close()
        last = f": {said[-1][:300]}" if said else ""
        return FetchResult(
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
        return self._folder / "process.log"

    def _read_line(self, timeout_s: float) -> bytes | None:
        """Read one line: empty when the process has ended, None when time is up."""
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
        """Kill the process and everything that it started."""
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


class ProcessPool:
    """Several fetching processes; `process()` lends one."""

    def __init__(self, size: int, folder: str | None, source: str) -> None:
        """Write under `folder`, under the system's temporary folder when it is None."""
        self.folder = make_scratch_folder(SCRATCH_PREFIX, folder)
        self._processes = [FetchProcess(self.folder / f"process{i}", source) for i in range(size)]
        self._free: queue.SimpleQueue[FetchProcess] = queue.SimpleQueue()
        for process in self._processes:
            self._free.put(process)

    @contextmanager
    def process(self) -> Iterator[FetchProcess]:
        """Lend a process to the block alone."""
        process = self._free.get()
        try:
            yield process
        finally:
            self._free.put(process)

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """Lend an empty folder for one try."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """End all processes and remove what they wrote."""
        for process in self._processes:
            process.close()
        shutil.rmtree(self.folder, ignore_errors=True)
