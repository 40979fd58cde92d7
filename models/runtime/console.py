"""What the commands show: results on the standard output, progress on the standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.runtime.rank import rank
from schemas.settings import screen


def console() -> Console:
    """Return the console of results; wide where it is no terminal, so that no cell wraps."""
    return _of_first(screen.results())


def progress_console() -> Console:
    """Return the console of progress and messages."""
    return _of_first(screen.messages())


def _of_first(out: Console) -> Console:
    """Return a console that is quiet in all of several processes but the first."""
    out.quiet = rank() > 0
    return out


@contextmanager
def progress_bar(what: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Show steps done and the time left, on a terminal only; yield a function that counts one."""
    out = progress_console()
    columns: list[Any] = [
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ]  # fmt: skip
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda: bar.advance(task)
