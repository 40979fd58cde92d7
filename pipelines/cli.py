"""`beam`, or `earsight`: every command of the product but the trainer.

Each command is a module with a frozen dataclass `Options`, whose fields are the options and whose
field strings are the help, and `run(options, rest) -> exit status`. Importing such a module is
cheap: what takes seconds is imported when `run` is called, so that help and complaints come at
once.
"""

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from pipelines.commands.names import COMMANDS
from pipelines.runners.option_names import beam_option_names
from pipelines.store.interrupts import STOPPED
from schemas import UsageError
from schemas.machine.version import version_line
from schemas.messages import nearest, quoted, unknown
from schemas.settings import screen
from schemas.settings.command_line import (
    exit_status,
    option_names,
    parse_known_options,
    refuse_unknown,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 done, 1 fell short, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _dispatch(words), STOPPED)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        return _print_help()
    if words[0] == "--version":
        screen.results().print(version_line())
        return 0
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            return _run_command(name, words[length:])
    if words[0] == "run":
        return _refuse_job(words[1:])
    raise UsageError(_unknown_command(words[0]))


def _unknown_command(word: str) -> str:
    """Say which command was meant; a job alone is taken for `run JOB`."""
    jobs = [name.split()[1] for name in COMMANDS if name.startswith("run ")]
    commands = list(dict.fromkeys(name.split()[0] for name in COMMANDS))
    near = nearest(word, jobs)
    if near and not nearest(word, commands):
        return f"unknown command {quoted(word)}; perhaps beam run {near}? See beam --help"
    return unknown("command", word, commands)


def _refuse_job(words: list[str]) -> int:
    """Say which jobs there are; 0 where that was asked for."""
    jobs = [name.split()[1] for name in COMMANDS if name.startswith("run ")]
    asked = next((word for word in words if not word.startswith("-")), None)
    if asked is not None:
        raise UsageError(unknown("job", asked, jobs))
    if set(words) & {"-h", "--help"}:
        return _print_help()
    raise UsageError(f"beam run needs a job: {', '.join(jobs)}")


def _run_command(name: str, arguments: list[str]) -> int:
    from pipelines.jobs.options import OPTION_GROUPS  # with Arrow

    command = COMMANDS[name]
    module: Any = importlib.import_module(command.module)
    program = f"beam {name}"
    others = beam_option_names() if command.beam_options else frozenset()
    refuse_unknown(arguments, option_names(module.Options) | others, f"{program} --help")
    options, rest = parse_known_options(module.Options, arguments, program, groups=OPTION_GROUPS)
    if rest and not command.beam_options:
        raise UsageError(f"unexpected argument {quoted(rest[0])}; see {program} --help")
    _set_up_logging()
    if command.loads:
        screen.say(f"{program}: loading {command.loads} ...")
    return int(module.run(options, rest))


def _print_help() -> int:
    table = Table("command", "what it does", box=None, pad_edge=False)
    for name, command in COMMANDS.items():
        table.add_row(f"beam {name}", command.text)
    console = screen.results()
    console.print("earsight: from clips to features. Options of a command: beam COMMAND --help\n")
    console.print(table)
    console.print("\nFor example:\n  beam run features --dataset demo --out out/demo")
    return 0


def _set_up_logging() -> None:
    """Log ours from INFO, others' from WARNING; on a terminal the bar speaks for the units."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    handler = screen.message_handler(timed=True)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what it logs it also raises
    level = logging.WARNING if sys.stderr.isatty() else logging.INFO
    for package in ("pipelines", "extractors", "schemas"):
        logging.getLogger(package).setLevel(level)
