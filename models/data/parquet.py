"""Parquet files of a feature store: opened, read, and allocated in memory or in a mapped file."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas import StoreManifest, TableName, UsageError, tensor_shape

MEMORY_LIMIT = 4 * 2**30
"""Bytes from which on the features of a store lie in a mapped temporary file, not in memory."""


class ParquetPart(pq.ParquetFile):
    """One file of a table; opening and reading it raise `UsageError` when it is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with readable(path):
            super().__init__(path, page_checksum_verification=True)
            self.schema_arrow.names.count("")  # decodes the names
            for column in self.schema_arrow:
                tensor_shape(column)

    def read(self, *given: Any, **options: Any) -> pa.Table:
        """Read all rows."""
        with readable(self.path):
            return super().read(*given, **options)

    def read_row_group(self, *given: Any, **options: Any) -> pa.Table:
        """Read the rows of one group."""
        with readable(self.path):
            return super().read_row_group(*given, **options)

    def read_row_groups(self, *given: Any, **options: Any) -> pa.Table:
        """Read the rows of some groups."""
        with readable(self.path):
            return super().read_row_groups(*given, **options)

    def iter_batches(self, *given: Any, **options: Any) -> Iterator[pa.RecordBatch]:
        """Read some rows at a time."""
        with readable(self.path):
            yield from super().iter_batches(*given, **options)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what is said of a missing or damaged file into a `UsageError`."""
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        said = " ".join(str(error).split())
        raise UsageError(
            f"{path} is named in the manifest and does not open ({said}); `beam validate` lists "
            "what is damaged, and the features job with --verify makes it again"
        ) from None


def open_part(path: Path) -> ParquetPart:
    """Open one file of a table; `UsageError` when it is missing or damaged."""
    return ParquetPart(path)


def read_table(manifest: StoreManifest, name: TableName, columns: list[str]) -> pa.Table:
    """Read some columns of a whole table; empty when the store has no such rows."""
    parts = [open_part(path).read(columns=columns) for path in manifest.paths(name)]
    return pa.concat_tables(parts) if parts else pa.table({column: [] for column in columns})


def clip_indices(path: Path, keys: pa.Array, order: pa.Array) -> NDArray[np.int64]:
    """Return the index in `order` of each clip key; `UsageError` for a clip that is not there."""
    index = pc.index_in(keys, value_set=order)
    if index.null_count:
        key = keys.filter(index.is_null())[0]
        raise UsageError(f"{path} has clip {key}, the table of clips has not; run `beam validate`")
    return np.asarray(index.to_numpy(), np.int64)


def allocate(
    shape: tuple[int, ...], arrays: int = 1, limit: int = MEMORY_LIMIT
) -> NDArray[np.float32]:
    """Return zeros; mapped from a file without a name when `arrays` of it exceed `limit` bytes."""
    if math.prod(shape) * 4 * arrays <= limit:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it alive; it has no name to clean up
        return np.memmap(file, np.float32, "w+", shape=shape)


def refuse_nan(
    manifest: StoreManifest, name: str, values: NDArray[np.float32], keys: Sequence[str]
) -> None:
    """Raise `UsageError` for the first clip of [N, ...] with a value that is not finite."""
    axes = tuple(range(1, values.ndim))
    for first in range(0, len(keys), 256):  # by parts: a mapped array must not be copied whole
        bad = ~np.isfinite(values[first : first + 256]).all(axis=axes)
        if bad.any():
            raise UsageError(
                f"clip {keys[first + int(bad.argmax())]} of {manifest.root} has a value of {name} "
                "that is not finite; run `beam validate` and make its features again"
            )
