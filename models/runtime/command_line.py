"""Command lines of the package: options from dataclasses, errors as one sentence, exit status."""

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import tyro
from rich.logging import RichHandler

from models.runtime.console import progress_console
from models.runtime.interrupts import STATUS, interruptible
from schemas import JobError, UsageError
from schemas.messages import ERROR_PREFIX, printable, unboxed, unknown

T = TypeVar("T")


def read(kind: type[T], arguments: Sequence[str], program: str, description: str | None) -> T:
    """Read the options of a command; `UsageError` for anything that is wrong with them."""
    refuse_unknown(arguments, (kind,), program)
    return parse(kind, arguments, program, description=description)


def parse(kind: type[T], arguments: Sequence[str], program: str, **extra: Any) -> T:
    """Read options into a dataclass; `UsageError` for anything that is wrong with them."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, args=list(arguments), prog=program, **extra)
    except SystemExit as stop:
        if not stop.code:  # --help was asked for and printed
            raise
        raise UsageError(f"{unboxed(complaint.getvalue())}; see {program} --help") from None
    except ValueError as error:  # a dataclass refused the value
        raise UsageError(f"{error}; see {program} --help") from None


def refuse_unknown(arguments: Sequence[str], kinds: Sequence[type[Any]], program: str) -> None:
    """Raise `UsageError` with a suggestion when an option belongs to none of the dataclasses."""
    names = [field.name.replace("_", "-") for kind in kinds for field in fields(kind)]
    known = {"--help", *(f"--{name}" for name in names), *(f"--no-{name}" for name in names)}
    for argument in arguments:
        option = argument.split("=", 1)[0].replace("_", "-")
        if option.startswith("--") and option not in known:
            asked = argument.split("=", 1)[0]
            raise UsageError(unknown("option", asked, sorted(known), f"{program} --help"))


def run(
    main: Callable[[Sequence[str]], None], arguments: Sequence[str], stopped: str = "stopped"
) -> int:
    """Run a command and return its exit status.

    0: done. 1: the job fell short, 2: wrong use; both say why. 130: interrupted by Ctrl-C or
    SIGTERM; `stopped` is what it says then.
    """
    _escape_unprintable()
    _show_messages()
    with interruptible():
        try:
            main(arguments)
        except (UsageError, JobError) as error:
            sys.stderr.write(f"{ERROR_PREFIX}{printable(str(error))}\n")
            return 2 if isinstance(error, UsageError) else 1
        except KeyboardInterrupt:
            sys.stderr.write(f"{stopped}\n")
            return STATUS
    return 0


def _escape_unprintable() -> None:
    """Write what an output's encoding lacks as escapes, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _show_messages() -> None:
    """Show log messages on stderr, without a frame where it is no terminal."""
    out = progress_console()
    rich = RichHandler(console=out, show_path=False, show_level=False, show_time=False)
    handler = rich if out.is_terminal else logging.StreamHandler()
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
