"""Command lines of the models: options from dataclasses, errors as one sentence, exit status."""

import functools
import logging
import sys
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from models.runtime.interrupts import interruptible
from models.runtime.rank import rank
from schemas.machine.version import version_line
from schemas.settings import command_line, screen
from schemas.settings.command_line import exit_status, option_names, parse_options, show_help

__all__ = ["parse", "read", "refuse_other_words", "run", "say_loading", "show_help", "show_version"]

T = TypeVar("T")

parse = parse_options


def read(kind: type[T], arguments: Sequence[str], program: str, description: str | None) -> T:
    """Read the options of a command; `UsageError` for anything that is wrong with them."""
    show_version(arguments)
    refuse_other_words(arguments, option_names(kind), program)
    return parse(kind, arguments, program, description=description)


def show_version(arguments: Sequence[str]) -> None:
    """Print release and commit and end the program, where `--version` is all that was asked."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"{version_line()}\n")
        raise SystemExit(0)


def refuse_other_words(arguments: Sequence[str], known: Collection[str], program: str) -> None:
    """Raise `UsageError` with a suggestion for the first option that is none of the known ones."""
    command_line.refuse_unknown(arguments, known, f"{program} --help")


def say_loading(program: str) -> None:
    """Say on a terminal that work begins: the packages that it needs take seconds to import."""
    if rank() == 0:
        screen.say(f"{program}: loading PyTorch ...")


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
    """Show log messages of all processes, and of the first one progress too."""
    logging.basicConfig(level=logging.INFO, handlers=[screen.message_handler()])
