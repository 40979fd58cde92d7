"""Progress of a local job: a bar with clips, speed and time left, when someone is watching.

A runner that works in the launcher's process blocks it, so a thread watches the store instead:
the progress file (a byte a clip) and nothing else.
"""

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from pipelines import files
from pipelines.extraction import PROGRESS_FILE
from pipelines.job import FeaturesJob
from pipelines.store import Standing
from pipelines.units import open_tasks

_EVERY_S = 0.5


class Progress:
    """Shows the bar while its `with` block runs; silent where nobody watches."""

    def __init__(self, job: FeaturesJob, before: Standing) -> None:
        self._file = Path(job.out, PROGRESS_FILE)
        self._job, self._before = job, before
        self._stop = threading.Event()
        console = Console(stderr=True)
        self._shown = console.is_terminal and files.is_local(job.out)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("clips"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not self._shown,
        )
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        if files.is_local(self._job.out):
            self._file.unlink(missing_ok=True)
        if self._shown:
            self._bar.start()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._shown:
            self._thread.join()
            self._bar.stop()
        if files.is_local(self._job.out):
            self._file.unlink(missing_ok=True)

    def _watch(self) -> None:
        job, before = self._job, self._before
        tasks = open_tasks(
            job.clips(), job.media_index(), before.done, before.failed, job.retry, frozenset()
        )
        total = sum(task.found is not None for task in tasks)
        bar = self._bar.add_task("features", total=total)
        while not self._stop.wait(_EVERY_S):
            with suppress(FileNotFoundError):
                self._bar.update(bar, completed=self._file.stat().st_size)
        with suppress(FileNotFoundError):
            self._bar.update(bar, completed=self._file.stat().st_size)
