"""What the commands of all jobs do before and around their pipeline."""

import shutil
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from pipelines.runners.engines import engine_trouble
from pipelines.store import files
from schemas import JobError, Reason, UsageError
from schemas.messages import quoted, suggestion

_FREE_BYTES = 200 * 2**20
_LEFT = {
    "dry_run": "Nothing was sent and nothing done: without --dry_run the same command begins the "
    "job.",
    "template_location": "The template is written; a job that is made from it leaves "
    "{out}/manifest.json when it is done.",
    "no_wait_until_finish": "The job is handed over. When it is done, {out}/manifest.json stands.",
}


def check_out(out: str, option: str) -> None:
    """See that a store can be written and has room, before anything is computed or fetched."""
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


def read_reasons(text: str) -> frozenset[Reason]:
    """The failures that `--retry` names: passing, all, none, or reasons separated by commas."""
    named = {
        "passing": frozenset(reason for reason in Reason if reason.retryable),
        "all": frozenset(Reason),
        "none": frozenset(),
    }
    if text in named:
        return named[text]
    wanted = [word.strip() for word in text.split(",")]
    for word in wanted:
        if word not in list(Reason):
            known = [*named, *Reason]
            raise UsageError(f"--retry knows no {quoted(word)}{suggestion(word, known)}")
    return frozenset(Reason(word) for word in wanted)


def run_job(run: Callable[[], None]) -> None:
    """Run a pipeline; trouble that a worker or an engine put into words is an error."""
    try:
        run()
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            for kind in (UsageError, JobError):
                if isinstance(cause, kind):
                    raise kind(_first_sentence(str(cause))) from error
                marker = f"{kind.__module__}.{kind.__name__}: "
                if marker in str(cause):
                    raise kind(_first_sentence(str(cause).split(marker, 1)[1])) from error
            cause = cause.__cause__ or cause.__context__
        trouble = engine_trouble(error)
        if trouble is not None:
            raise JobError(trouble) from error
        raise


def print_left(option: str, out: str) -> int:
    """Say what an option of Beam for which the command does not stay has come to; 0."""
    text = _LEFT[option].format(out=out)
    Console().print(text, soft_wrap=True, markup=False, highlight=False)
    return 0


def _first_sentence(text: str) -> str:
    """Without what Beam adds: ` [while running 'extract']` and a traceback."""
    return text.split("\n", 1)[0].split(" [while running", 1)[0]
