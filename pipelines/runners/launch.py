"""What the commands of all jobs do before and after their pipeline."""

import shutil
from pathlib import Path

from rich.console import Console

from pipelines.store import files
from schemas import JobError, UsageError

_FREE_BYTES = 200 * 2**20
_LEFT = {
    "dry_run": "Nothing was sent and nothing done: without --dry_run the same command begins the "
    "job.",
    "template_location": "The template is written; a job that is made from it leaves "
    "{out}/manifest.json when it is done.",
    "no_wait_until_finish": "The job is handed over. When it is done, {out}/manifest.json stands.",
}


def check_out(out: str, option: str) -> None:
    """Check that a store can be written and has room, before anything is computed or fetched."""
    if files.is_local(out) and Path(out).exists() and not Path(out).is_dir():
        raise UsageError(f"{option} {out} is a file; give a folder")
    probe = files.join(out, f"{files.TEMPORARY}write-test")
    files.write(probe, b"earsight")
    files.delete([probe])
    if files.is_local(out):
        free = shutil.disk_usage(out).free
        if free < _FREE_BYTES:
            raise JobError(
                f"only {free / 2**20:.0f} MB are free for {out}, need {_FREE_BYTES // 2**20} MB"
                f" to start; make room or choose another {option}"
            )


def print_left(option: str, out: str) -> int:
    """Say what an option of Beam for which the command does not stay has come to; 0."""
    text = _LEFT[option].format(out=out)
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
    return 0
