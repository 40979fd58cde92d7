"""Scratch folders: each carries its owner's process id, so that those of killed jobs are told."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil


def make_scratch_folder(prefix: str, parent: str | None = None) -> Path:
    """Make an empty folder of this process in `parent`, the system's temporary folder if None."""
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))


def sweep_scratch_folders(prefix: str, parent: str | None = None, *, own: bool = False) -> None:
    """Remove the scratch folders in `parent` whose processes are no more, with `own` ours too."""
    for folder in Path(parent or tempfile.gettempdir()).glob(f"{prefix}*-*"):
        owner = folder.name.removeprefix(prefix).split("-")[0]
        ended = owner.isdecimal() and not psutil.pid_exists(int(owner))
        if ended or (own and owner == str(os.getpid())):
            shutil.rmtree(folder, ignore_errors=True)
