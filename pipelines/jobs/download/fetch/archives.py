"""Media inside tar and Parquet files: which there are, and one of them as a file.

Tar files must not be packed, because a member is read by its position. Run as a module this is the
process that lists archives, so that one that lies about its sizes costs that process and no more.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.media.child_process import answer_requests
from schemas import KnownError, Reason
from schemas.media_names import MEDIA_SUFFIXES, clip_name
from schemas.messages import printable

LISTING_MEMORY = 2**30
"""What listing archives may allocate, in bytes."""
_MOST_MESSAGE = 500
_BLOCK = 2**20
_TAR_BLOCK = 512
_KEYS = ("clip_key", "__key__", "key", "video_id", "youtube_id", "ytid", "id")


class ArchiveError(Exception):
    """An archive cannot be listed; the message says which and why, in one printable line."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, _MOST_MESSAGE))


@dataclass(frozen=True, slots=True)
class MediaColumn:
    """Where a Parquet file keeps media: bytes, and the name that goes with them."""

    column: str
    """A binary column, or a struct with fields `bytes` and `path` as Hugging Face writes it."""
    is_struct: bool
    key: str | None
    """Column with the key; None when the struct's `path` gives it."""


def list_archive(path: Path, *, every: bool = False) -> Iterator[tuple[str, str]]:
    """Yield stem and location of the media in one tar or Parquet file.

    With `every`, name and location of each plain file in a tar file. Raises `ArchiveError` for a
    file that is neither, is damaged or holds no media column.
    """
    tar = path.suffix.lower() == ".tar"
    try:
        yield from _tar_members(path, every) if tar else _parquet_rows(path)
    except MemoryError:
        raise ArchiveError(
            f"{path} cannot be read: its headers ask for more than {LISTING_MEMORY:,} bytes of "
            "memory"
        ) from None
    except (
        tarfile.TarError, pa.ArrowException, OSError, EOFError, ValueError, OverflowError,
        RecursionError,
    ) as error:  # fmt: skip
        kind = "tar" if tar else "Parquet"
        said = printable(" ".join(str(error).split()), 200)
        raise ArchiveError(f"{path} cannot be read as a {kind} file ({said})") from None


def _tar_members(path: Path, every: bool) -> Iterator[tuple[str, str]]:
    size = path.stat().st_size
    last = -1
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            if not last < member.offset <= size - _TAR_BLOCK or member.size < 0:
                raise tarfile.ReadError("its headers do not follow one another")
            last = member.offset
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep every member
            name = PurePosixPath(member.name)
            if member.isreg() and not member.issparse():
                location = f"tar:{path}#{member.offset_data},{member.size}"
                if every:
                    yield member.name, location
                elif name.suffix.lower() in MEDIA_SUFFIXES:
                    yield clip_name(name.name), location


def _parquet_rows(path: Path) -> Iterator[tuple[str, str]]:
    with pq.ParquetFile(path) as file:
        media = find_media_column(file.schema_arrow)
        if media is None:
            raise ArchiveError(
                f"{path} has no column of media: a binary column with a key column "
                f"({', '.join(_KEYS)}), or a struct with fields bytes (binary) and path (string)"
            )
        column = media.key or f"{media.column}.path"
        for group in range(file.num_row_groups):
            row = 0
            for batch in file.iter_batches(row_groups=[group], columns=[column]):
                for name in _stems(batch.column(0), media):
                    if name:
                        yield name, f"parquet:{path}#{group},{row}"
                    row += 1


def find_media_column(schema: pa.Schema) -> MediaColumn | None:
    """Return the first column of media and its key, None when there is none."""
    key = next((field.name for field in schema if field.name in _KEYS and _is_key(field)), None)
    for field in schema:
        kind = field.type
        if pa.types.is_struct(kind):
            inner = {kind[i].name: kind[i].type for i in range(kind.num_fields)}
            if {"bytes", "path"} <= inner.keys() and _is_binary(inner["bytes"]):
                named = key or (None if _is_text(inner["path"]) else "")
                if named != "":
                    return MediaColumn(field.name, True, named)
        elif key and _is_binary(kind):
            return MediaColumn(field.name, False, key)
    return None


def _is_key(field: pa.Field) -> bool:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return _is_text(kind) or pa.types.is_integer(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _stems(column: pa.Array, media: MediaColumn) -> Iterator[str | None]:
    for value in column.to_pylist():
        text: Any = value if media.key else (value or {}).get("path")
        if text is None:
            yield None
            continue
        name = PurePosixPath(str(text))
        yield clip_name(name.name) if name.suffix.lower() in MEDIA_SUFFIXES else name.name


def copy_member(path: Path, offset: int, size: int, target: Path) -> None:
    """Copy `size` bytes from byte `offset` of a tar file; `corrupt` when it ends earlier."""
    with path.open("rb") as archive, target.open("wb") as copy:
        archive.seek(offset)
        left = size
        while left > 0 and (block := archive.read(min(_BLOCK, left))):
            copy.write(block)
            left -= len(block)
    if left:
        raise KnownError(Reason.CORRUPT, f"{path} ends {left:,} bytes before this member does")


def read_row(path: Path, group: int, row: int) -> bytes:
    """Read the media bytes of one row; rows before it in its group are read but not kept."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            media = find_media_column(file.schema_arrow)
            if media is None:
                raise KnownError(Reason.CORRUPT, f"{path} has no column of media any more")
            name = f"{media.column}.bytes" if media.is_struct else media.column
            batches = file.iter_batches(batch_size=1, row_groups=[group], columns=[name])
            for number, batch in enumerate(batches):
                if number == row:
                    value = batch.column(0)[0].as_py()
                    data = value["bytes"] if media.is_struct and value else value
                    if data is None:
                        raise KnownError(Reason.NOT_FOUND, f"row {row} of {path} has no bytes")
                    return bytes(data)
    except MemoryError:
        raise KnownError(Reason.TOO_LARGE, f"row {row} of {path} needs too much memory") from None
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise KnownError(Reason.CORRUPT, f"{path}: {error}") from None
    raise KnownError(Reason.NOT_FOUND, f"{path} has no row {row} in row group {group}")


def _answer(request: bytes) -> bytes:
    """List some archives into a file of JSON lines; return what went wrong, empty for nothing."""
    wanted = json.loads(request)
    try:
        with Path(wanted["target"]).open("w", encoding="ascii") as listing:
            for path in wanted["paths"]:
                for entry in list_archive(Path(path), every=wanted.get("every", False)):
                    listing.write(json.dumps(entry) + "\n")
    except ArchiveError as error:
        return json.dumps(str(error)).encode()
    return b'""'


if __name__ == "__main__":
    answer_requests(_answer, LISTING_MEMORY)
