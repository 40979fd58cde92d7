"""What the commands show: results on the standard output, progress on the standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.runtime.rank import rank


def console() -> Console:
    """Return the console of results; wide where it is no terminal, so that no cell wraps."""
    quiet = rank() > 0  # of several processes the first one speaks
    plain = Console(highlight=False, markup=False, emoji=False, quiet=quiet)
    if plain.is_terminal:
        return plain
    return Console(highlight=False, markup=False, emoji=False, width=180, quiet=quiet)


def progress_console() -> Console:
    """Return the console of progress and messages."""
    return Console(stderr=True, quiet=rank() > 0)


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
