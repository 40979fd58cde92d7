"""Files by path or URI, local or in a bucket, through Beam's filesystems.

Everything is written whole: locally under a temporary name that is then renamed, in a bucket as
one object. A name that starts with `.tmp-` is never part of a store.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from schemas import JobError, UsageError

TEMPORARY = ".tmp-"


def is_local(uri: str) -> bool:
    """True for a path of this machine."""
    return "://" not in uri


def absolute(uri: str) -> str:
    """A local path from the root, a URI as it is; `file://` is a local path."""
    plain = uri.removeprefix("file://")
    return str(Path(plain).absolute()) if is_local(plain) else uri


def join(folder: str, *names: str) -> str:
    """Path or URI of something in a folder."""
    return (
        os.path.join(folder, *names) if is_local(folder) else "/".join([folder.rstrip("/"), *names])
    )


def exists(uri: str) -> bool:
    """Whether the file is there; `UsageError` for an address that Beam cannot use."""
    try:
        return bool(FileSystems.exists(uri))
    except (ValueError, BeamIOError) as error:
        raise UsageError(_unusable(uri, error)) from None


def read(uri: str) -> bytes:
    """The whole file."""
    with FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        return bytes(file.read())


def write(uri: str, data: bytes) -> None:
    """Write a whole file so that nobody ever sees a part of it.

    Raises `JobError` with one sentence when the disk is full or cannot be written.
    """
    try:
        if is_local(uri):
            _write_local(Path(uri), data)
        else:
            with FileSystems.create(uri, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                file.write(data)
    except ValueError as error:
        raise UsageError(_unusable(uri, error)) from None
    except (OSError, BeamIOError) as error:
        raise JobError(
            f"cannot write {uri}: {getattr(error, 'strerror', None) or error}; make room or choose "
            "another --out, then run the same command again: what is finished is kept"
        ) from error


def _write_local(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _unusable(uri: str, error: Exception) -> str:
    reason = str(error).splitlines()[0][:200]
    return (
        f"{uri} cannot be reached ({reason}); give a local path, or a gs://, s3:// or hdfs:// "
        "address for which Beam's packages and credentials are set up"
    )


def list_folder(folder: str) -> list[str]:
    """Files directly in a folder, sorted; empty when there is no such folder."""
    if is_local(folder):
        root = Path(folder)
        return (
            sorted(str(path) for path in root.iterdir() if path.is_file()) if root.is_dir() else []
        )
    try:
        (match,) = FileSystems.match([join(folder, "*")])
    except (ValueError, BeamIOError) as error:
        raise UsageError(_unusable(folder, error)) from None
    return sorted(meta.path for meta in match.metadata_list)


def delete(uris: list[str]) -> None:
    """Remove files; those already gone are no trouble."""
    for uri in uris:
        if is_local(uri):
            Path(uri).unlink(missing_ok=True)
        elif exists(uri):
            FileSystems.delete([uri])


@contextmanager
def local_copy(uri: str, work: Path) -> Iterator[Path]:
    """The file as a local path: itself when it is local, else a copy in `work`."""
    if is_local(uri):
        yield Path(uri)
        return
    copy = work / uri.rsplit("/", 1)[1]
    opened = FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED)
    with opened as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target)
    try:
        yield copy
    finally:
        copy.unlink(missing_ok=True)
