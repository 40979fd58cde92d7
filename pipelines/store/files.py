"""Files by path or URI, local or in a bucket, through Beam's filesystems.

Everything is written whole: locally under a temporary name that is then renamed, in a bucket as
one object. A local file is on the disk, and so is its name, before the call returns: what is
written later never survives a power cut without it. A name that starts with `.tmp-` is never part
of a store.
"""

import functools
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import InvalidResponse

from pipelines.media.scratch_room import ScratchRoom
from pipelines.store.interrupts import wait_if_ending
from schemas import JobError, UsageError
from schemas.media_names import files_under

TEMPORARY = ".tmp-"
_BLOCK = 2**20


def is_local(uri: str) -> bool:
    """Tell whether the path is one of this machine."""
    return "://" not in uri


def absolute(uri: str) -> str:
    """Return a local path from the root, a URI as it is; `file://` is a local path."""
    plain = uri.removeprefix("file://")
    return str(Path(plain).absolute()) if is_local(plain) else uri


def join(folder: str, *names: str) -> str:
    """Return the path or URI of something in a folder."""
    return (
        os.path.join(folder, *names) if is_local(folder) else "/".join([folder.rstrip("/"), *names])
    )


@contextmanager
def as_beam_errors() -> Iterator[None]:
    """Raise Google's errors as those of Beam's filesystems, so that every bucket fails alike."""
    try:
        yield
    except NotFound as error:
        raise FileNotFoundError(_first_line(error)) from error
    except (GoogleAPIError, GoogleAuthError) as error:
        raise BeamIOError(_first_line(error)) from error
    except InvalidResponse as error:  # what an upload raises
        raise BeamIOError(f"{error.response.status_code} {error.response.reason}") from error


def exists(uri: str) -> bool:
    """Tell whether the file exists; `UsageError` for an address that Beam cannot use."""
    try:
        with as_beam_errors():
            return bool(FileSystems.exists(uri))
    except (ValueError, BeamIOError) as error:
        raise UsageError(_unusable(uri, error)) from None


def read(uri: str) -> bytes:
    """Read a whole file."""
    with as_beam_errors(), open_read(uri) as file:
        return bytes(file.read())


def open_read(uri: str) -> BinaryIO:
    """Open a file for reading at any position."""
    file: BinaryIO = FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED)
    return file


def write(uri: str, data: bytes) -> None:
    """Write a whole file so that readers never see a part of it; errors as for `create`."""
    with create(uri) as file:
        file.write(data)


@contextmanager
def create(uri: str) -> Iterator[BinaryIO]:
    """Open a new file to be written piece by piece; it is there, whole, when the block ends.

    Raises `JobError` with one sentence when the disk or the bucket cannot be written.
    """
    with as_job_errors(uri):
        if is_local(uri):
            with _create_local(Path(uri)) as file:
                yield file
                wait_if_ending()
        else:
            with as_beam_errors(), _create_remote(uri) as file:
                yield file
                wait_if_ending()


@contextmanager
def as_job_errors(uri: str) -> Iterator[None]:
    """Raise trouble with writing a file as `JobError`: one sentence that says what to do."""
    try:
        yield
    except (OSError, BeamIOError) as error:
        reason = getattr(error, "strerror", None) or _first_line(error)
        cure = "make room" if is_local(uri) else "see that the bucket is there and takes objects"
        raise JobError(
            f"cannot write {uri}: {reason}; {cure} or choose another --out, then run the same "
            "command again: what is finished is kept"
        ) from error


@contextmanager
def _create_local(path: Path) -> Iterator[BinaryIO]:
    _make_folder(path.parent)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            yield file
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Rename a local file, or a file in the place of another, once its content is on the disk."""
    _sync(source)
    source.replace(target)
    _sync(target.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each with its name on the disk."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Return when the content of a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create_remote(uri: str) -> BinaryIO:
    try:
        file: BinaryIO = FileSystems.create(uri, compression_type=CompressionTypes.UNCOMPRESSED)
    except ValueError as error:
        raise UsageError(_unusable(uri, error)) from None
    return file


def _unusable(uri: str, error: Exception) -> str:
    return (
        f"{uri} cannot be reached ({_first_line(error)}); give a local path, or a gs://, s3:// or "
        "hdfs:// address for which Beam's packages and credentials are set up"
    )


def _first_line(error: Exception) -> str:
    text = str(error).removesuffix(" with exceptions None")  # Beam's end of every message
    return (text.splitlines() or [type(error).__name__])[0][:200]


def list_folder(folder: str) -> list[str]:
    """List the files directly in a folder, sorted; empty when there is no such folder."""
    if is_local(folder):
        root = Path(folder)
        return (
            sorted(str(path) for path in root.iterdir() if path.is_file()) if root.is_dir() else []
        )
    return sorted(_remote_sizes(folder))


def list_tree(folder: str) -> list[str]:
    """List everything but folders in a folder and in the folders in it, hidden ones left out.

    Local links to folders are followed, each folder once. Empty when there is no such folder.
    """
    if not is_local(folder):
        return sorted(_remote_sizes(folder, "**"))
    return [os.path.join(folder, path) for path in files_under(Path(folder))]


def sizes(folder: str) -> dict[str, int]:
    """Return the sizes in bytes of the files directly in a folder, by name.

    Empty when there is no such folder.
    """
    if is_local(folder):
        by_path = {path: os.stat(path).st_size for path in list_folder(folder)}
    else:
        by_path = _remote_sizes(folder)
    return {path.rsplit("/", 1)[1]: size for path, size in by_path.items()}


def _remote_sizes(folder: str, pattern: str = "*") -> dict[str, int]:
    try:
        (match,) = FileSystems.match([join(folder, pattern)])
    except (ValueError, BeamIOError) as error:
        raise UsageError(_unusable(folder, error)) from None
    return {meta.path: meta.size_in_bytes for meta in match.metadata_list}


def delete(uris: list[str]) -> None:
    """Remove files, unless they are gone already.

    Raises `JobError` with one sentence where a bucket does not allow it.
    """
    for uri in uris:
        if is_local(uri):
            Path(uri).unlink(missing_ok=True)
        elif exists(uri):
            try:
                FileSystems.delete([uri])
            except BeamIOError as error:
                raise JobError(
                    f"cannot remove {uri} ({_first_line(error)}); a job replaces and removes "
                    "objects, so its account needs the right to delete them"
                ) from error


@contextmanager
def local_copy(uri: str, room: ScratchRoom) -> Iterator[Path]:
    """Yield the file as a local path: itself when it is local, else a copy in the room's folder."""
    if is_local(uri):
        yield Path(uri)
        return
    copy = room.folder / uri.rsplit("/", 1)[1]
    try:
        with as_beam_errors(), open_read(uri) as source, copy.open("wb") as target:
            while block := source.read(_BLOCK):
                target.write(block)
                room.check(target.tell())
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def local_folder(folder: str) -> Path:
    """Return the folder itself when it is local, else a copy, made once per process."""
    return Path(folder) if is_local(folder) else Path(_fetched_folder(folder).name)


@functools.cache
def _fetched_folder(folder: str) -> "tempfile.TemporaryDirectory[str]":
    """Copy the files directly in a folder; the copy is removed when the process ends."""
    paths = list_folder(folder)
    if not paths:
        raise UsageError(f"{folder} holds no files")
    copy = tempfile.TemporaryDirectory(prefix="earsight-annotations-")
    for path in paths:
        Path(copy.name, path.rsplit("/", 1)[1]).write_bytes(read(path))
    return copy
