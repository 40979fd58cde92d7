"""Bags of instances: the rows of `segments`, `proposals` and `components` of each clip.

A clip has as many instances as its audio and video gave; shorter bags are padded with zeros, and a
mask says which instances there are.

Letters: N clips, P instances of the largest bag.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.integrity import refuse_miscounted
from models.data.parquet import allocate, clip_indices, open_part, refuse_nan
from schemas import FEATURES, SNIPPETS, StoreManifest, TableName, UsageError, stored_values
from schemas.features import BOX_CONTEXTS, IMAGE_TABLES


@dataclass(frozen=True, kw_only=True)
class Instances:
    """What an instance is made of: one tensor, or several numbers."""

    table: TableName
    columns: tuple[str, ...]
    shape: tuple[int, ...]


def _instances() -> Iterator[tuple[str, Instances]]:
    for feature in FEATURES.values():
        if feature.table in (SNIPPETS, *IMAGE_TABLES):
            continue
        own = {feature.table: (feature.column,), **feature.also}
        for name, columns in own.items():
            shape = feature.shape if len(columns) == 1 else (len(columns),)
            yield name, Instances(table=feature.table, columns=columns, shape=shape)


BAGS: Mapping[str, Instances] = dict(_instances())
"""What an instance is, by the name under which models ask for it."""

ROWS = 1024
"""Rows of a table that are in memory at once."""


def read_bags(manifest: StoreManifest, name: str, keys: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Read the instances of every clip: float32 [N, P, width], and presence, bool [N, P].

    `name` is one of `BAGS`. Instances keep the order of the table. A clip without any has none
    present. `UsageError` when the store has no such column or a value that is not finite.
    """
    order, kind = pa.array(keys), BAGS[name]
    refuse_miscounted(manifest, kind.table)
    sizes = _sizes(manifest, kind.table, order)
    there = np.zeros((len(keys), max(1, int(sizes.max()))), np.bool_)
    values = allocate((*there.shape, *kind.shape))
    used = np.zeros(len(keys), np.int64)
    for path in manifest.paths(kind.table):
        part = open_part(path)
        refuse_lacking(manifest.root, kind, part.schema_arrow)
        for rows in part.iter_batches(ROWS, columns=["clip_key", *kind.columns]):
            clip = clip_indices(path, rows["clip_key"], order)
            features, present = instance_values(rows, kind)
            instance = used[clip] + _repeats(clip)
            values[clip, instance], there[clip, instance] = features, present
            used += np.bincount(clip, minlength=len(keys))
    refuse_nan(manifest, name, values, keys)
    return torch.from_numpy(values), torch.from_numpy(there)


def instance_values(
    rows: pa.RecordBatch | pa.Table, kind: Instances
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the values of R instances as they are stored, [R, *shape], and presence, bool [R]."""
    columns = [rows[name] for name in kind.columns]
    if len(columns) == 1:
        (column,) = columns
        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        return stored_values(whole, kind.shape)
    present = np.ones(len(columns[0]), np.bool_)
    numbers = [np.asarray(column.to_numpy(), np.float32) for column in columns]
    return np.stack(numbers, axis=1), present


def refuse_lacking(place: Path, kind: Instances, schema: pa.Schema) -> None:
    """Raise `UsageError` when a store, or a part of it, lacks a column of the instances."""
    if set(kind.columns) <= set(schema.names):
        return
    option = " and --proposals-context 1.8x" * (kind == BAGS[BOX_CONTEXTS])
    raise UsageError(
        f"{place} has no {', '.join(kind.columns)} in table {kind.table}; run the features "
        f"job again, with another --out{option}"
    )


def _sizes(manifest: StoreManifest, table: TableName, order: pa.Array) -> NDArray[np.int64]:
    """Count the instances of each clip, [N]."""
    sizes = np.zeros(len(order), np.int64)
    for path in manifest.paths(table):
        keys = open_part(path).read(columns=["clip_key"])["clip_key"].combine_chunks()
        sizes += np.bincount(clip_indices(path, keys, order), minlength=len(order))
    return sizes


def _repeats(clip: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count how often each value came before in the array: 3, 3, 5, 3 to 0, 1, 0, 2."""
    order = np.argsort(clip, kind="stable")
    ranked = clip[order]
    start = np.searchsorted(ranked, ranked)
    count = np.empty(len(clip), np.int64)
    count[order] = np.arange(len(clip)) - start
    return count
