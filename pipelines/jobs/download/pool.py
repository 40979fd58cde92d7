"""The fetching processes of one worker, as the worker sees them."""

import queue
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.jobs.download.fetch.messages import FetchRequest, FetchResult, SourceKind
from pipelines.jobs.download.rate_limit import Permit
from pipelines.media.child_process import ChildDiedError, ChildProcess, ChildTimeoutError
from pipelines.store.scratch import make_scratch_folder
from schemas import Reason
from schemas.messages import printable

SCRATCH_PREFIX = ".tmp-fetch-"
_GRACE_S = 5.0
"""A process keeps its time limit by itself; it is killed after this much more, in seconds."""
_CLIPS_PER_PROCESS = 500
"""A process is replaced after this many, whatever a library may have kept in memory."""
_MOST_DETAIL = 500


class FetchProcess:
    """One fetching process, started by its first request and again after it died.

    While it keeps a video for the next clip of it, nobody calls `be_ready`.
    """

    def __init__(self, folder: Path, source: SourceKind, ahead: Sequence[str]) -> None:
        module = "pipelines.jobs.download.fetch.process"
        self._child = ChildProcess(module, (str(folder), source), ahead=ahead)
        self._asked = 0

    def ask(self, request: FetchRequest) -> FetchResult:
        """Return the result of one request; a process that is too slow or dies is a failure."""
        self._child.start()
        self._asked += 1
        limit = request.limits.timeout_s
        try:
            return FetchResult.decode(self._child.ask(request.encode().encode(), limit + _GRACE_S))
        except ChildTimeoutError:
            reason, detail = Reason.TIMEOUT, f"not here after {limit:g} s (--clip-timeout)"
        except ChildDiedError as error:
            reason, detail = Reason.CORRUPT, f"the fetching process {error}"
        return FetchResult(
            key=request.key, step="fetch", reason=reason, detail=printable(detail, _MOST_DETAIL)
        )

    def be_ready(self) -> None:
        """Start the process unless it runs, so that the next request goes out at once."""
        if self._asked >= _CLIPS_PER_PROCESS:
            self.close()
        self._child.start()

    def close(self) -> None:
        """Kill the process and everything that it started."""
        self._asked = 0
        self._child.close()


@dataclass
class Visit:
    """One video while its clips are fetched, one after another."""

    process: FetchProcess
    folder: Path | None = None
    """What its clips share; None for a single one."""
    permit: Permit | None = None
    """The permit with which it was asked for."""
    kept: bool = False
    """Whether the process has the video, so that the next clip needs no permit."""
    obstacle: str = ""
    """Name of what was in the way at the last try."""
    refusal: FetchResult | None = None
    """Why no clip of it can be had."""

    def close(self) -> None:
        """Let others use the identity that it was asked for with."""
        if self.permit is not None:
            self.permit.give_back()
        self.permit = None


class ProcessPool:
    """Several fetching processes; `process()` lends one."""

    def __init__(
        self, size: int, folder: str | None, source: SourceKind, *, ahead: Sequence[str] = ()
    ) -> None:
        """Write under `folder`, under the system's temporary folder when it is None.

        The processes find packages in the folders `ahead` before any others.
        """
        self.folder = make_scratch_folder(SCRATCH_PREFIX, folder)
        self._processes = [
            FetchProcess(self.folder / f"process{number}", source, ahead) for number in range(size)
        ]
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
    def visit(self, n_clips: int) -> Iterator["Visit"]:
        """Lend a process, and a folder that the clips of a video share where there are several."""
        with self.process() as process:
            if n_clips == 1:
                yield Visit(process)
                return
            with self.work_folder() as folder:
                yield Visit(process, folder)

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
