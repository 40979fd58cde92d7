"""Media that a lab has already: files in a folder, members of tar files, rows of Parquet files.

An index maps the stem of a file's name (`<video_id>_<start>_<end>` or `<video_id>`) to its place,
which travels as text:

    /data/a.mp4                      a file
    tar:/data/part0.tar#512,40960    40,960 bytes from byte 512 of a tar file
    parquet:/data/part0.parquet#3,7  row 7 of row group 3

Tar files must not be packed, because a member is read by its position. Of two places with one stem
the first is taken: files before tar files before Parquet files, in the order of their names.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import KnownError, Reason, UsageError
from schemas.media_names import MEDIA_SUFFIXES

_BLOCK = 2**20
_KEYS = ("clip_key", "__key__", "key", "video_id", "youtube_id", "ytid", "id")


@dataclass(frozen=True, slots=True)
class MediaColumn:
    """Where a Parquet file keeps media: bytes, and the name that goes with them."""

    column: str
    """A binary column, or a struct with fields `bytes` and `path` as Hugging Face writes it."""
    is_struct: bool
    key: str | None
    """Column with the key; None when the struct's `path` gives it."""


def list_locations(source: Path) -> Iterator[tuple[str, str]]:
    """Stem and place of everything in a folder, or in one tar or Parquet file.

    `UsageError` for a source that is not there, a packed tar file, or a Parquet file without media.
    """
    if not source.exists():
        raise UsageError(
            f"--source {source} is not there; give a folder, a .tar or a .parquet file"
        )
    found = sorted(path for path in source.iterdir() if path.is_file()) if source.is_dir() else [
        source
    ]  # fmt: skip
    kinds: dict[str, list[Path]] = {"media": [], "tar": [], "parquet": []}
    for path in found:
        name = path.name.lower()
        if name.startswith("."):
            continue
        if name.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")):
            raise UsageError(
                f"{path} is packed, so its members cannot be read one by one; unpack it"
            )
        if path.suffix.lower() in MEDIA_SUFFIXES:
            kinds["media"].append(path)
        elif path.suffix.lower() in (".tar", ".parquet"):
            kinds[path.suffix.lower()[1:]].append(path)
    for path in kinds["media"]:
        yield path.stem, str(path.absolute())
    for path in kinds["tar"]:
        yield from _tar_members(path)
    for path in kinds["parquet"]:
        yield from _parquet_rows(path)


def _tar_members(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if member.isreg() and name.suffix.lower() in MEDIA_SUFFIXES:
                    yield name.stem, f"tar:{path.absolute()}#{member.offset_data},{member.size}"
    except (tarfile.TarError, OSError) as error:
        raise UsageError(f"{path} cannot be read as a tar file ({error})") from None


def _parquet_rows(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with pq.ParquetFile(path) as file:
            media = media_column(file.schema_arrow)
            if media is None:
                raise UsageError(
                    f"{path} has no column of media: a binary column with a key column "
                    f"({', '.join(_KEYS)}), or a struct with fields bytes and path"
                )
            column = media.key or f"{media.column}.path"
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=[column])
                for row, name in enumerate(_names(table, media)):
                    if name:
                        yield name, f"parquet:{path.absolute()}#{group},{row}"
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} cannot be read as a Parquet file ({error})") from None


def media_column(schema: pa.Schema) -> MediaColumn | None:
    """The first column of media and its key, or None."""
    key = next((name for name in _KEYS if name in schema.names), None)
    for field in schema:
        kind = field.type
        if pa.types.is_struct(kind) and {"bytes", "path"} <= {
            kind[i].name for i in range(len(kind))
        }:
            return MediaColumn(field.name, True, key)
        if key and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            return MediaColumn(field.name, False, key)
    return None


def _names(table: pa.Table, media: MediaColumn) -> Iterator[str | None]:
    for value in table.column(0).to_pylist():
        text: Any = value if media.key else (value or {}).get("path")
        name = PurePosixPath(str(text)) if text is not None else None
        suffix = name.suffix.lower() if name else ""
        yield None if name is None else name.stem if suffix in MEDIA_SUFFIXES else name.name


def extract_media(place: str, root: Path, target: Path, max_bytes: int) -> Path:
    """The media of a place as a file: itself when it is one, else a copy at `target`.

    Raises `KnownError`: `unsafe_input` for a place outside `root` (links are followed first),
    `not_found` when it is gone, `too_large` above `max_bytes`.
    """
    kind, path, address = _split(place)
    if not path.resolve().is_relative_to(root.resolve()):
        raise KnownError(Reason.UNSAFE_INPUT, f"{path} lies outside of {root}")
    if not path.is_file():
        raise KnownError(Reason.NOT_FOUND, f"{path} was listed but is gone")
    if kind == "file":
        _check_size(path.stat().st_size, max_bytes)
        return path
    if kind == "tar":
        _copy_span(path, address, target, max_bytes)
    else:
        data = _row_bytes(path, *address)
        _check_size(len(data), max_bytes)
        target.write_bytes(data)
    return target


def _split(place: str) -> tuple[str, Path, tuple[int, int]]:
    for kind in ("tar", "parquet"):
        if place.startswith(f"{kind}:"):
            path, _, numbers = place.removeprefix(f"{kind}:").rpartition("#")
            first, _, second = numbers.partition(",")
            return kind, Path(path), (int(first), int(second))
    return "file", Path(place), (0, 0)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise KnownError(
            Reason.TOO_LARGE, f"the file has {size:,} bytes, {max_bytes:,} at most (--max-mb)"
        )


def _copy_span(path: Path, span: tuple[int, int], target: Path, max_bytes: int) -> None:
    offset, size = span
    _check_size(size, max_bytes)
    with path.open("rb") as archive, target.open("wb") as copy:
        archive.seek(offset)
        left = size
        while left and (block := archive.read(min(_BLOCK, left))):
            copy.write(block)
            left -= len(block)
    if left:
        raise KnownError(Reason.CORRUPT, f"{path} ends {left:,} bytes before this member does")


def _row_bytes(path: Path, group: int, row: int) -> bytes:
    """The bytes of one row; rows before it in its group are read one by one, not kept."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            media = media_column(file.schema_arrow)
            assert media is not None
            name = f"{media.column}.bytes" if media.is_struct else media.column
            batches = file.iter_batches(batch_size=1, row_groups=[group], columns=[name])
            for number, batch in enumerate(batches):
                if number == row:
                    value = batch.column(0)[0].as_py()
                    data = value["bytes"] if media.is_struct and value else value
                    if data is None:
                        raise KnownError(Reason.NOT_FOUND, f"row {row} of {path} has no bytes")
                    return bytes(data)
    except pa.ArrowException as error:
        raise KnownError(Reason.CORRUPT, f"{path}: {error}") from None
    raise KnownError(Reason.NOT_FOUND, f"{path} has no row {row} in row group {group}")
