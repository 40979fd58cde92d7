"""Clips out of tar files of samples, as `beam export --to webdataset` writes them.

Nothing that a file says is believed before it is checked: members are listed in a process of
bounded memory, a member is read only up to a bound, and arrays have the kind and shape that the
recipe's tables give them.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.commands.exchange.stored_clips import WHOLE_TABLES, ClipRows
from pipelines.commands.exchange.webdataset_export import ending_of, sample_key
from pipelines.commands.npy_files import read_array
from pipelines.jobs.download.fetch.local_sources import list_members
from schemas import (
    TABLES,
    JobError,
    KnownError,
    Recipe,
    TableName,
    table_schema,
    tensor_array,
    tensor_shape,
)
from schemas.checked_json import Record, parse_json
from schemas.messages import quoted

MOST_SAMPLE_BYTES = 2**30
"""What the members of one sample may hold together."""
_TABLES = frozenset(TABLES) - {*WHOLE_TABLES, "clips"}


@dataclass(frozen=True)
class _Member:
    ending: str
    tar: Path
    offset: int
    size: int

    def read(self) -> bytes:
        with self.tar.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def read_samples(tars: Sequence[Path], recipe: Recipe) -> Iterator[ClipRows]:
    """Yield the rows of every sample's clip; `JobError` for a sample that does not fit."""
    members = (
        (*_parted(name), tar, offset, size) for name, tar, offset, size in list_members(tars)
    )
    for (tar, key), group in groupby(members, key=lambda member: (member[2], member[0])):
        files: dict[str, _Member] = {}
        for _, ending, _, offset, size in group:
            if ending in files:
                raise JobError(f"{tar}: sample {quoted(key)} has two members {quoted(ending)}")
            files[ending] = _Member(ending, tar, offset, size)
        try:
            yield _read_sample(key, files, recipe)
        except (KnownError, ValueError, TypeError, OverflowError, pa.ArrowException) as error:
            reason = error.detail if isinstance(error, KnownError) else str(error)
            raise JobError(
                f"{tar}: sample {quoted(key)} cannot be read ({' '.join(reason.split())[:300]}); "
                "export the store again"
            ) from None


def _parted(name: str) -> tuple[str, str]:
    """Return key and ending as WebDataset parts them: at the first dot of the last name."""
    folder, slash, last = name.rpartition("/")
    key, _, ending = last.partition(".")
    return f"{folder}{slash}{key}", ending


def _read_sample(key: str, files: dict[str, _Member], recipe: Recipe) -> ClipRows:
    size = sum(member.size for member in files.values())
    if size > MOST_SAMPLE_BYTES:
        raise ValueError(f"its members have {size:,} bytes, at most {MOST_SAMPLE_BYTES:,} are read")
    if "json" not in files:
        raise ValueError("it has no member json")
    told = parse_json(files.pop("json").read())
    if not isinstance(told, dict):
        raise ValueError("its json is no object")
    record = Record(told)
    schema = table_schema("clips", recipe)
    clip = pa.Table.from_pylist([{name: told.get(name) for name in schema.names}], schema=schema)
    clip_key = record.get("clip_key", str)
    if sample_key(clip_key) != key:
        raise ValueError(f"it is that of clip {quoted(clip_key)}")
    absent, tables = record.get("absent", dict), record.mapping("tables", dict)
    if strange := tables.keys() - _TABLES:
        raise ValueError(f"it has rows of a table {quoted(min(strange))}")
    rows = {
        name: _read_table(name, clip_key, columns, absent, files, recipe)
        for name, columns in tables.items()
    }
    if files:
        raise ValueError(f"it has a member {quoted(min(files))}, which belongs to no table")
    return {"clips": clip, **rows}


def _read_table(
    name: TableName,
    key: str,
    columns: Mapping[str, Any],
    absent: Mapping[str, Any],
    files: dict[str, _Member],
    recipe: Recipe,
) -> pa.Table:
    """Return the rows of one table; what is read is taken out of `files`."""
    schema = table_schema(name, recipe)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"the columns of table {name} are not of one length")
    (count,) = lengths
    arrays = []
    for field in schema:
        ending, shape = ending_of(name, field.name), tensor_shape(field)
        if field.name == "clip_key":
            arrays.append(pa.array([key] * count, field.type))
        elif shape is not None:
            present = _presence(absent.get(ending), count, ending)
            member = files.pop(f"{ending}.npy", None)
            if member is None and present.any():
                raise ValueError(f"it has no member {ending}.npy")
            values = None if member is None else _read_npy(member, (count, *shape))
            arrays.append(tensor_array(values, present, field))
        elif pa.types.is_binary(field.type):
            arrays.append(pa.array(_read_images(ending, count, files), field.type))
        else:
            arrays.append(pa.array(columns.get(field.name), field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _presence(absent: Any, count: int, ending: str) -> Any:
    whole = isinstance(absent, list) and all(
        type(row) is int and 0 <= row < count for row in absent
    )
    if not whole:
        raise ValueError(f"it does not say which of {count} rows have no {ending}")
    present = np.ones(count, dtype=np.bool_)
    present[absent] = False
    return present


def _read_npy(member: _Member, shape: tuple[int, ...]) -> Any:
    values = read_array(io.BytesIO(member.read()), member.size, member.ending, shape)
    if not np.isfinite(values).all():
        raise ValueError(f"{member.ending} holds numbers that are not finite")
    return values


def _read_images(ending: str, count: int, files: dict[str, _Member]) -> list[bytes]:
    images = []
    for index in range(count):
        names = [f"{ending}.{index:05d}.{kind}" for kind in ("jpg", "webp")]
        found = next((files.pop(name) for name in names if name in files), None)
        if found is None:
            raise ValueError(f"it has no member {names[0]}")
        images.append(found.read())
    return images
