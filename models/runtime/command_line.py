"""Command lines of the package: options from dataclasses, wrong use as one sentence."""

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.logging import RichHandler

from schemas import JobError, UsageError
from schemas.messages import ERROR_PREFIX, unboxed, unknown

T = TypeVar("T")


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
    names = [one.name.replace("_", "-") for kind in kinds for one in fields(kind)]
    known = {"--help", *(f"--{name}" for name in names), *(f"--no-{name}" for name in names)}
    for argument in arguments:
        option = argument.split("=", 1)[0].replace("_", "-")
        if option.startswith("--") and option not in known:
            asked = argument.split("=", 1)[0]
            raise UsageError(unknown("option", asked, sorted(known), f"{program} --help"))


def run(
    main: Callable[[Sequence[str]], None], arguments: Sequence[str], stopped: str = "stopped"
) -> int:
    """Run a command: 0 done, 1 the job fell short, 2 wrong use; the latter two say why.

    `stopped` is what it says when it is interrupted.
    """
    out = Console(stderr=True)
    rich = RichHandler(console=out, show_path=False, show_level=False, show_time=False)
    handler = rich if out.is_terminal else logging.StreamHandler()
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
    try:
        main(arguments)
    except (UsageError, JobError) as error:
        sys.stderr.write(f"{ERROR_PREFIX}{error}\n")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return 130
    return 0
