"""From what one clip raised to its failure: no clip ends a job."""

import errno
import logging
import tempfile
import traceback

from pipelines.store import files
from pipelines.store.units import ClipTask
from schemas import Failure, JobError, KnownError, Reason, UsageError
from schemas.machine.clock import utc_stamp
from schemas.messages import printable_lines

_log = logging.getLogger(__name__)
_NO_ROOM = (errno.ENOSPC, errno.EROFS, errno.EDQUOT)
_MOST_DETAIL = 4000
"""Characters of a failure's detail; of a longer one the end is kept, where a traceback says why."""


def failure_of(task: ClipTask, step: str, error: Exception) -> Failure:
    """Return the failure of a clip in a step.

    Raises what is not the clip's: `JobError` for a full scratch disk, `JobError` and `UsageError`
    as they are.
    """
    known = _as_known(task, step, error)
    _log.debug("%s: %s at %s: %s", task.clip.key, known.reason, step, known.detail)
    detail = printable_lines(known.detail, _MOST_DETAIL)
    return Failure(task.clip.key, step, known.reason, detail, task.attempt, utc_stamp())


def no_room(error: OSError) -> JobError:
    """Return the error that stops a job whose temporary files do not fit."""
    return JobError(
        f"no room for temporary files in {tempfile.gettempdir()} ({error.strerror}); make "
        "room or set TMPDIR, then run the same command again: what is finished is kept"
    )


def _as_known(task: ClipTask, step: str, error: Exception) -> KnownError:
    """Return trouble with a clip as a reason with its detail; a bug of ours is `internal`."""
    if isinstance(error, KnownError):
        return error
    if isinstance(error, JobError | UsageError):
        raise error
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        raise no_room(error) from error
    if isinstance(error, MemoryError):
        return KnownError(
            Reason.TOO_LARGE, f"the clip needs more memory than there is at step {step}: {error}"
        )
    if step == "find" and isinstance(error, OSError):
        return _unreadable(task, error)
    return KnownError(Reason.INTERNAL, "".join(traceback.format_exception(error)))


def _unreadable(task: ClipTask, error: OSError) -> KnownError:
    """Return why a file could not be fetched or opened."""
    if isinstance(error, FileNotFoundError):
        return KnownError(Reason.NOT_FOUND, f"the file was listed but is gone: {error}")
    remote = task.media is not None and not files.is_local(task.media.uri)
    reason = Reason.NETWORK if remote else Reason.CORRUPT
    return KnownError(reason, f"the file cannot be read: {error}")
