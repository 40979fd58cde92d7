"""What the commands of all jobs do before and around their graph."""

import shutil
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam

from pipelines.runners.graph import run_pipeline
from pipelines.runners.presets import Destination
from pipelines.store import files
from pipelines.store.interrupts import STOPPED, said_on_signals
from pipelines.store.progress import Progress
from schemas import JobError, UsageError
from schemas.settings import screen

_GOES_ON = (
    "stopped waiting, but the engine may go on with the job: cancel it there before you give the "
    "same command again"
)
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


def run_to_end(
    build: Callable[[beam.Pipeline], object],
    destination: Destination,
    *,
    store: str,
    label: str,
    count: Callable[[], int],
) -> bool:
    """Run a job's graph under a progress bar; return False where the job goes on elsewhere.

    `count` tells how many clips the job will try; it runs beside the job.
    """
    sentence = _GOES_ON if destination.elsewhere else STOPPED
    with Progress(store, label, count), said_on_signals(sentence):
        run_pipeline(build, destination.arguments)
    if not destination.leaves:
        return True
    text = _LEFT[destination.leaves].format(out=store)
    screen.results().print(text, soft_wrap=True)
    return False
