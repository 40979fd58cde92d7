"""A folder that appears whole: it is filled under another name beside its place, then renamed."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas import JobError, UsageError

TEMPORARY = ".new-"
"""How the name of a folder begins that is still being filled; no store takes it for a leftover."""


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that has the name `out` once the block ends without an error.

    `UsageError` where there is something of that name already, `JobError` where the disk does not
    take what is written; either way nothing of it is left.
    """
    place = out.absolute()
    if place.is_symlink() or (place.exists() and not _is_empty(place)):
        raise UsageError(f"{out} is there already; give a new folder with --out")
    filled = place.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        filled.mkdir(parents=True)
        yield filled
        filled.rename(place)
    except OSError as error:
        raise JobError(
            f"cannot write {out}: {error.strerror or error}; make room or give another --out; "
            "nothing of it was left"
        ) from error
    finally:
        shutil.rmtree(filled, ignore_errors=True)


def _is_empty(place: Path) -> bool:
    return place.is_dir() and not any(place.iterdir())
