"""Command lines of the models: options from dataclasses, errors as one sentence, exit status."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rich.logging import RichHandler

from models.runtime.console import progress_console
from models.runtime.interrupts import interruptible
from schemas.settings import command_line
from schemas.settings.command_line import exit_status, option_names, parse_options

T = TypeVar("T")

parse = parse_options


def read(kind: type[T], arguments: Sequence[str], program: str, description: str | None) -> T:
    """Read the options of a command; `UsageError` for anything that is wrong with them."""
    refuse_unknown(arguments, (kind,), program)
    return parse(kind, arguments, program, description=description)


def refuse_unknown(arguments: Sequence[str], kinds: Sequence[type[Any]], program: str) -> None:
    """Raise `UsageError` with a suggestion when an option belongs to none of the dataclasses."""
    known = {name for kind in kinds for name in option_names(kind)}
    command_line.refuse_unknown(arguments, known, f"{program} --help")


def run(
    main: Callable[[Sequence[str]], None], arguments: Sequence[str], stopped: str = "stopped"
) -> int:
    """Run a command and return its exit status.

    0: done. 1: the job fell short, 2: wrong use; both say why. 130: interrupted by Ctrl-C or
    SIGTERM; `stopped` is what it says then.
    """
    _show_messages()
    with interruptible():
        return exit_status(functools.partial(main, arguments), stopped)


def _show_messages() -> None:
    """Show log messages on stderr, without a frame where it is no terminal."""
    out = progress_console()
    rich = RichHandler(console=out, show_path=False, show_level=False, show_time=False)
    handler = rich if out.is_terminal else logging.StreamHandler()
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
