"""A family of hostile inputs: how a case is made from dice, how it is run, how it may end."""

import contextlib
import importlib
import io
import logging
import pkgutil
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from schemas import JobError, KnownError, UsageError
from tests.faults import families

Case = TypeVar("Case")

LONGEST_SENTENCE = 4000
"""Characters of an error message that a person can still be asked to read."""


class Outcome(StrEnum):
    """How a case ended. The list is closed; the first three are well."""

    ROWS = "rows"
    """The input was taken, and what came out of it is right."""
    FAILURE = "failure"
    """The clip ended as a failure with a reason."""
    SENTENCE = "sentence"
    """`UsageError` or `JobError`, short and printable."""
    UNREADABLE = "unreadable"
    """An error message that is empty, longer than `LONGEST_SENTENCE` or not printable."""
    TRACEBACK = "traceback"
    """An exception that nobody expected."""
    DEATH = "death"
    """The process died."""
    HANG = "hang"
    """The time limit passed."""
    MEMORY = "memory"
    """The memory limit was met: MemoryError."""
    LEAK = "leak"
    """A secret in an output, or a child process or open files left behind."""
    WRONG_ROWS = "wrong_rows"
    """The input was taken for something that it is not, without a word."""

    @property
    def well(self) -> bool:
        """Whether a case may end so."""
        return self in (Outcome.ROWS, Outcome.FAILURE, Outcome.SENTENCE)


@dataclass(frozen=True)
class Family(Generic[Case]):
    """Hostile inputs of one kind.

    `make` draws a case from the dice and nothing else, so that family, seed and index name it.
    `run` feeds the case to the product in an empty folder of its own and returns how it ended. It
    need not catch anything: `UsageError` and `JobError` count as `sentence`, `KnownError` as
    `failure`, every other exception as `traceback`, MemoryError as `memory`.
    """

    name: str
    make: Callable[[random.Random], Case]
    run: Callable[[Case, Path], Outcome]
    sample: int = 12
    """Cases in the default tests; together they take about a second or less."""
    most: int = 3000
    """Cases in the long run, however fast they are."""
    weight: float = 1.0
    """Its share of the time of a long run beside the others'."""
    time_limit_s: float = 20.0
    """Seconds that one case may take before it counts as a hang."""
    memory_mb: int = 1024
    """Address space that one case may take beyond what the process had before."""

    def dice(self, seed: int, index: int) -> random.Random:
        """Return the source of all randomness of one case."""
        return random.Random(f"{self.name}/{seed}/{index}")


def all_families() -> dict[str, tuple[str, Family[Any]]]:
    """Return every family by name, with the module that exposes it."""
    found: dict[str, tuple[str, Family[Any]]] = {}
    for info in pkgutil.iter_modules(families.__path__, f"{families.__name__}."):
        for family in families_of(info.name):
            assert family.name not in found, f"two families are called {family.name!r}"
            found[family.name] = (info.name, family)
    return found


def families_of(module: str) -> Sequence[Family[Any]]:
    """Return the families that a module exposes."""
    exposed: Sequence[Family[Any]] = importlib.import_module(module).FAMILIES
    return exposed


def run_case(family: Family[Case], case: Case, folder: Path) -> tuple[Outcome, str]:
    """Run one case; return how it ended and, where an exception ended it, its text."""
    try:
        with quiet():
            return family.run(case, folder), ""
    except (UsageError, JobError) as error:
        return of_message(str(error)), str(error)
    except KnownError as error:
        return Outcome.FAILURE, str(error)
    except MemoryError as error:
        return Outcome.MEMORY, traceback_of(error)
    except Exception as error:  # noqa: BLE001  every kind of traceback is what is counted here
        return Outcome.TRACEBACK, traceback_of(error)


def of_message(message: str) -> Outcome:
    """Return `sentence` for an error message that a person can read, else `unreadable`."""
    readable = 0 < len(message) <= LONGEST_SENTENCE and message.replace("\n", "").isprintable()
    return Outcome.SENTENCE if readable else Outcome.UNREADABLE


def of_command(main: Callable[[list[str]], int], arguments: Sequence[object]) -> Outcome:
    """Run a command in this process; return `rows` for status 0, `sentence` for 1, 2 and 130.

    What it prints on stderr must be readable and hold no traceback.
    """
    heard = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(heard):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = int(stop.code or 0)
    if "Traceback" in heard.getvalue():
        return Outcome.TRACEBACK
    return of_message(heard.getvalue()) if status else Outcome.ROWS


def holds(secret: str, folder: Path, *texts: str) -> bool:
    """Return whether a secret stands in one of the texts, or in a name or file under a folder."""
    if any(secret in text for text in texts):
        return True
    paths = list(folder.rglob("*"))
    return any(
        secret in path.name or (path.is_file() and secret.encode() in path.read_bytes())
        for path in paths
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep log messages of hostile input off the screen."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def traceback_of(error: BaseException) -> str:
    """Return an exception with the innermost places that it came through."""
    import traceback

    return "".join(traceback.format_exception(error, limit=-4, chain=False))[-3000:]
