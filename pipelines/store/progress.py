"""Progress of a local job: a bar with clips, speed and time left, on a terminal only.

A runner in the launcher's process blocks the main thread, so another thread follows the progress
file, which workers append one byte per clip to.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from pipelines.store import files
from schemas.settings import screen

PROGRESS_FILE = ".progress"
"""Grows by a byte with every clip that a local job has tried."""
_EVERY_S = 0.5


class ProgressFile:
    """What a worker writes for the bar: one byte per clip, in a local store only."""

    def __init__(self, store: str) -> None:
        self._path = Path(store, PROGRESS_FILE) if files.is_local(store) else None

    def count(self, clips: int = 1) -> None:
        """Add clips that were tried; a file that cannot be written costs nothing but the bar."""
        if self._path is not None:
            with suppress(OSError), self._path.open("ab") as file:
                file.write(b"." * clips)


class Progress:
    """Show the bar while the `with` block runs; no output where there is no terminal."""

    def __init__(self, store: str, label: str, total: Callable[[], int]) -> None:
        """`total` counts the clips to try; it runs beside the job."""
        self._file = Path(store, PROGRESS_FILE)
        self._local, self._label, self._total = files.is_local(store), label, total
        self._stop = threading.Event()
        console = screen.messages()
        self._shown = console.is_terminal and self._local
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
        if self._local:
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
        if self._local:
            self._file.unlink(missing_ok=True)

    def _watch(self) -> None:
        bar = self._bar.add_task(self._label, total=self._total())
        while not self._stop.wait(_EVERY_S):
            with suppress(FileNotFoundError):
                self._bar.update(bar, completed=self._file.stat().st_size)
        with suppress(FileNotFoundError):
            self._bar.update(bar, completed=self._file.stat().st_size)
