"""`beam`: every command of earsight but the trainer.

Each command is a module with a frozen dataclass `Config`, whose fields are the options and whose
field strings are the help, and `run(config, rest) -> exit status`.
"""

import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

import tyro
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from schemas import JobError, UsageError
from schemas.messages import ERROR_PREFIX, unboxed, unknown

COMMANDS = {
    "run download": ("pipelines.jobs.download.command", "clips of a data set into a media folder"),
    "run features": ("pipelines.jobs.features.command", "clips to feature tables"),
    "run everything": ("pipelines.jobs.everything", "download, then features"),
    "run pack": ("pipelines.jobs.pack.command", "many small files of a store to a few large ones"),
    "validate": ("pipelines.commands.validate", "read every shard of a store back and check it"),
    "import-npy": (
        "pipelines.commands.import_npy",
        "published .npy features of LLP to tables",
    ),
    "recipes": ("pipelines.commands.recipes", "how each recipe makes features"),
    "compare": ("pipelines.commands.compare", "our features against published .npy files"),
    "check": ("pipelines.commands.check", "look over this machine before a job"),
    "plan": ("pipelines.commands.plan", "what a job would cost before it runs"),
    "demo": ("pipelines.commands.demo", "a picture of any clip of the demo world"),
}
"""Command words, the module behind them, and one line of help."""

_TAKES_BEAM_OPTIONS = frozenset(name for name in COMMANDS if name.startswith("run "))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 done, 1 fell short, 2 wrong usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except UsageError as error:
        return _say(error, 2)
    except JobError as error:
        return _say(error, 1)
    except KeyboardInterrupt:
        return _say("stopped; the same command goes on where it stopped", 1)


def _say(message: object, status: int) -> int:
    out = Console(stderr=True, soft_wrap=True, highlight=False)
    out.print(f"{ERROR_PREFIX}{message}", markup=False)
    return status


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        _print_help()
        return 0
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return _run(name, words[length:])
    if words[0] == "run":
        jobs = [name.split()[1] for name in COMMANDS if name.startswith("run ")]
        asked = next((word for word in words[1:] if not word.startswith("-")), None)
        if asked is None:
            if set(words[1:]) & {"-h", "--help"}:
                _print_help()
                return 0
            raise UsageError(f"beam run needs a job: {', '.join(jobs)}")
        raise UsageError(unknown("job", asked, jobs))
    raise UsageError(unknown("command", words[0], [name.split()[0] for name in COMMANDS]))


def _run(name: str, arguments: list[str]) -> int:
    _set_up_logging()
    module: Any = importlib.import_module(COMMANDS[name][0])
    config, rest = _parse(module.Config, f"beam {name}", arguments)
    if rest and name not in _TAKES_BEAM_OPTIONS:
        options = [f"--{field.replace('_', '-')}" for field in module.Config.__dataclass_fields__]
        asked = rest[0].split("=", 1)[0]
        raise UsageError(unknown("option", asked, options, f"beam {name} --help"))
    return int(module.run(config, rest))


def _parse(kind: type[Any], program: str, arguments: list[str]) -> tuple[Any, list[str]]:
    """The options, and what is left for Beam; `UsageError` for a value that does not fit."""
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(kind, prog=program, args=arguments, return_unknown_args=True)
    except SystemExit as stop:
        if not stop.code:  # --help was asked for and printed
            raise
        raise UsageError(f"{unboxed(complaint.getvalue())}; see {program} --help") from None


def _print_help() -> None:
    table = Table("command", "what it does", box=None, pad_edge=False)
    for name, (_, text) in COMMANDS.items():
        table.add_row(f"beam {name}", text)
    console = Console()
    console.print("earsight: from clips to features. Options of a command: beam COMMAND --help\n")
    console.print(table)
    console.print("\nFor example:\n  beam run features --dataset demo --out out/demo")


def _set_up_logging() -> None:
    """Ours from INFO, others from WARNING; on a terminal the bar speaks for the units."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    terminal = sys.stderr.isatty()
    handler = RichHandler(
        console=Console(stderr=True, width=None if terminal else 160),
        show_path=False,
        omit_repeated_times=False,
    )
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what it logs it also raises
    for package in ("pipelines", "extractors", "schemas"):
        logging.getLogger(package).setLevel(logging.WARNING if terminal else logging.INFO)


if __name__ == "__main__":
    raise SystemExit(main())
