"""One console for what commands print, log and count, so that none writes into another's line.

Results go to the standard output, messages and progress to the standard error. On a terminal both
are one console, which keeps a bar below whatever is printed meanwhile.
"""

import logging
import sys
from functools import cache, partial

from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler

from schemas.messages import WARNING_PREFIX

WIDE = 180
"""Columns where there is no terminal, so that no cell of a table wraps."""
_plain = partial(Console, highlight=False, markup=False, emoji=False)


def results() -> Console:
    """Return the console of results."""
    if not sys.stdout.isatty():
        return _plain(width=WIDE)
    return _terminal() if sys.stderr.isatty() else _plain()


def messages() -> Console:
    """Return the console of progress and messages."""
    return _terminal() if sys.stderr.isatty() else _plain(stderr=True, width=WIDE)


@cache
def _terminal() -> Console:
    return _plain(stderr=True)


def say(sentence: str) -> None:
    """Write a line on the terminal at once; nothing where there is none."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()


class _Lines(logging.Formatter):
    """A message as it is; a warning says that it is one."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 the library's name
        """Return the line of a record."""
        if record.levelno >= logging.WARNING:
            record.message = f"{WARNING_PREFIX}{record.message}"
        return super().formatMessage(record)


def message_handler(*, timed: bool = False) -> logging.Handler:
    """Return a handler that shows log messages as they are, on a terminal above the bar.

    `timed` puts the time of day before each where there is no terminal.
    """
    out = messages()
    handler: logging.Handler = logging.StreamHandler()
    if out.is_terminal:
        handler = RichHandler(
            console=out, show_path=False, show_level=False, show_time=False, markup=False,
            highlighter=NullHighlighter(),
        )  # fmt: skip
    elif timed:
        handler.setFormatter(_Lines("%(asctime)s %(message)s", "%H:%M:%S"))
        return handler
    handler.setFormatter(_Lines("%(message)s"))
    return handler
