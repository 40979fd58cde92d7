"""Whole files: written under a temporary name and renamed; JSON read with one sentence of error."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.runtime.rank import rank
from schemas import JobError, UsageError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name and rename it, so that no half file is ever seen.

    Of several processes only the first one writes. A write that is interrupted leaves nothing.
    `JobError` when the file cannot be written.
    """
    if rank() > 0:
        return
    temporary = path.with_name(f".{os.getpid()}.partial{path.suffix}")
    try:
        with as_job_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def sweep(folder: Path) -> None:
    """Remove what killed processes had begun to write into a folder that is ours alone."""
    for path in folder.glob(".*.partial*"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def as_job_errors(path: Path) -> Iterator[None]:
    """Turn what the system says when `path` cannot be written into a `JobError`."""
    try:
        yield
    except OSError as error:
        raise JobError(
            f"{path} cannot be written ({error.strerror or error}); give a folder that can be, "
            "with room"
        ) from None


def refuse_unwritable(folder: Path) -> None:
    """Raise `UsageError` when files cannot be written into a folder, which need not exist yet."""
    try:
        place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        usable = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    except OSError as error:
        raise UsageError(f"{folder} cannot be a folder ({error.strerror or error})") from None
    if not usable:
        raise UsageError(f"{folder} cannot be written, because {place} cannot; give another --out")


def write_text(path: Path, text: str) -> None:
    r"""Write UTF-8 text, whole; bytes that a name has outside UTF-8 are written as `\udc..`."""
    content = text.encode("utf-8", "backslashreplace")
    write_whole(path, lambda place: place.write_bytes(content))


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV, whole; cells may hold anything, line ends too."""
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:  # the module quotes of line ends only the one that it writes
        writer = quoting if any("\r" in str(cell) for cell in row) else plain
        writer.writerow(row)
    write_text(path, text.getvalue())


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON, whole."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read JSON; `UsageError` when the file is not there or is not JSON.

    `what` says in that sentence what the folder is without the file.
    """
    try:
        data = json.loads(path.read_text(), parse_constant=_refuse_constant)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{path.parent} has no {path.name}, so it is {what}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise UsageError(f"{path} is not readable JSON ({error})") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path} holds no settings, so {path.parent} is {what}")
    return data
