"""How every Parquet file of a store is written."""

import hashlib
import io
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import Failure, table_schema

_ROWS_PER_GROUP = 4096
IMAGE_GROUP_BYTES = 4 * 2**20
"""Bytes of a row group of images: a reader that wants one clip reads little else."""


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a table as Parquet: zstd, dictionaries for text only, groups of about 4,000 rows.

    Groups of images have about 4 MB.
    """
    buffer = io.BytesIO()
    rows = _ROWS_PER_GROUP
    if table.num_rows and any(pa.types.is_binary(field.type) for field in table.schema):
        rows = max(1, min(rows, IMAGE_GROUP_BYTES * table.num_rows // table.nbytes))
    pq.write_table(table, buffer, row_group_size=rows, **parquet_settings(table.schema))
    return buffer.getvalue()


def parquet_settings(schema: pa.Schema) -> dict[str, Any]:
    """Return the writer's settings: zstd, dictionaries for text only, a checksum per page.

    Features that are stored as bytes are not compressed: it would save a sixth of their room and
    take four times as long to read.
    """
    text = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_list(field.type)
    ]
    settings: dict[str, Any] = {"use_dictionary": text, "write_page_checksum": True}
    if not any(pa.types.is_fixed_size_binary(field.type) for field in schema):
        return {**settings, "compression": "zstd", "compression_level": 1}
    paths = {_leaf(field): pa.types.is_fixed_size_binary(field.type) for field in schema}
    return {
        **settings,
        "compression": {path: "none" if plain else "zstd" for path, plain in paths.items()},
        "compression_level": {path: 1 for path, plain in paths.items() if not plain},
    }


def _leaf(field: pa.Field) -> str:
    """Return how Parquet calls the values of a column."""
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else str(field.name)


class HashedFile(io.RawIOBase):
    """A file that is being written, with the size and sha256 of what has been written so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hash as hex digits."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """Return True: that is what the file is for."""
        return True

    def write(self, data: Any) -> int:
        """Write all of some bytes."""
        view = memoryview(data)
        self._file.write(view)
        self._digest.update(view)
        self.size += view.nbytes
        return view.nbytes


def failures_table(failures: Iterable[Failure]) -> pa.Table:
    """Return table `failures`, sorted by clip."""
    rows = [
        {**asdict(failure), "reason": str(failure.reason), "retryable": failure.retryable}
        for failure in sorted(failures, key=lambda failure: failure.clip_key)
    ]
    return pa.Table.from_pylist(rows, schema=table_schema("failures"))
