"""Commands as one types them from here, whether or not the environment is active."""

import os
import shlex
import shutil
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds schemas/, models/ and the rest."""


def command(program: str, *words: object) -> str:
    """Return a command line that works as printed.

    `program` is `python`, `beam`, or a file of models/ such as `models/train.py`.
    """
    if program.endswith(".py"):
        start = [_program("python"), _from_here(_ROOT / program)]
    elif program == "beam" and not (_environment() / program).exists():
        start = [_program("python"), "-m", "pipelines"]
    else:
        start = [_program(program)]
    return shlex.join([*start, *map(str, words)])


def has_trainer() -> bool:
    """Return whether models/ came along; an image of workers may go without."""
    return (_ROOT / "models" / "train.py").exists()


def _program(name: str) -> str:
    """Return the bare name where the shell finds that of this environment, else its path."""
    found = shutil.which(name)
    if found and Path(found).parent.absolute() == _environment():
        return name
    return _from_here(_environment() / name)


def _environment() -> Path:
    return Path(sys.executable).parent.absolute()


def _from_here(path: Path) -> str:
    """Return a path below the current folder relative to it, any other whole."""
    here = Path(os.getcwd())
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
