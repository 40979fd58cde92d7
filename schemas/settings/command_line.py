"""What every command line shares: options from a dataclass, complaints as one sentence, statuses.

Statuses: 0 done, 1 the job fell short, 2 wrong usage, 130 interrupted.
"""

import contextlib
import io
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import tyro

from schemas.failure import JobError, UsageError
from schemas.messages import ERROR_PREFIX, printable, quoted, unboxed, unknown
from schemas.secrets import redact
from schemas.settings.bounds import first_refused
from schemas.settings.help import Option, names_of, options_of, page

T = TypeVar("T")

INTERRUPTED = 130
"""Status of a command that Ctrl-C or SIGTERM ended."""


def option_names(kind: type[Any]) -> frozenset[str]:
    """Return the options that the fields of a dataclass become, `--no-` forms and help too."""
    return names_of(options_of(kind))


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Return whether the page of help is asked for."""
    return not {"-h", "--help"}.isdisjoint(arguments)


def show_help(program: str, description: str | None, options: Sequence[Option]) -> None:
    """Print the page of help."""
    sys.stdout.write(page(program, description or "", options) + "\n")


def refuse_unknown(arguments: Sequence[str], known: Collection[str], see: str) -> None:
    """Raise `UsageError` with a suggestion for the first option that is none of the known ones.

    `_` and `-` are alike; `see` is what lists all options.
    """
    spelled = {name.replace("_", "-") for name in known}
    for argument in arguments:
        option = argument.split("=", 1)[0]
        if option.startswith("--") and option.replace("_", "-") not in spelled:
            raise UsageError(unknown("option", option, sorted(known), see))


def parse_options(kind: type[T], arguments: Sequence[str], program: str, **settings: Any) -> T:
    """Read options into a dataclass; `UsageError` for anything that is wrong with them.

    `settings` are those of `tyro.cli`.
    """
    options, rest = parse_known_options(kind, arguments, program, **settings)
    if rest:
        raise UsageError(f"unexpected argument {quoted(rest[0])}; see {program} --help")
    return options


def parse_known_options(
    kind: type[T],
    arguments: Sequence[str],
    program: str,
    description: str | None = None,
    groups: Mapping[str, str] = {},
    **settings: Any,
) -> tuple[T, list[str]]:
    """Read options into a dataclass; return what is left over too, in its order.

    Help that is asked for is printed, and the program ends: `description`, or the dataclass's own,
    above the options by `groups` (`schemas.settings.help.options_of`).
    """
    if asks_for_help(arguments):
        show_help(program, description or kind.__doc__, options_of(kind, groups=groups))
        raise SystemExit(0)
    cli: Any = tyro.cli
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            options, rest = cli(
                kind, args=list(arguments), prog=program, return_unknown_args=True, **settings
            )
    except SystemExit as stop:
        said = unboxed(complaint.getvalue())
        said = said.removeprefix(f"Error parsing {kind.__name__}: ")  # it refused a value itself
        raise UsageError(f"{said}; see {program} --help") from stop
    refused = first_refused(options)
    if refused is not None:
        option = f"--{refused.name.replace('_', '-')}"
        raise UsageError(f"{option} is {refused.value}; it must be {refused.allowed}")
    return options, rest


def exit_status(command: Callable[[], int | None], stopped: str) -> int:
    """Run a command and return its exit status; say in one sentence why it is not 0.

    What is secret in an address is hidden. `stopped` is the sentence of one that is interrupted.
    """
    _escape_unprintable()
    try:
        return command() or 0
    except (UsageError, JobError) as error:
        sys.stderr.write(f"{ERROR_PREFIX}{printable(redact(str(error)))}\n")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return INTERRUPTED


def _escape_unprintable() -> None:
    """Write what an output's encoding lacks as escapes, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
