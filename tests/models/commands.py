"""Run the models' commands in this process."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from models import train
from models.runtime import command_line
from tests.complaints import Done, run_here, sentence

Main = Callable[[Sequence[str]], None]


def run_command(main: Main, *words: object) -> Done:
    """Run a command as its script does; return status and what it printed."""
    return run_here(partial(command_line.run, main), *words)


def refused(main: Main, *words: object) -> str:
    """Return the one sentence with which a command answers wrong use."""
    done = run_command(main, *words)
    assert done.stderr.count("\n") == 1
    return sentence(done)


def trained(experiment: str, store: Path, folder: Path, *options: object) -> Path:
    """Train one epoch of an experiment and return its run folder."""
    arguments = (experiment, "--features", store, "--run", folder, "--epochs", 1, *options)
    train.main([str(argument) for argument in arguments])
    return folder
