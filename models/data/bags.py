"""Bags of instances: the rows of `segments`, `proposals` and `components` of each clip.

A clip has as many instances as its audio and video gave; shorter bags are padded with zeros, and a
mask says which instances there are.

Letters: N clips, P instances of the largest bag.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.integrity import refuse_miscounted
from models.data.parquet import allocate, clip_indices, open_part, refuse_nan
from schemas import FEATURES, SNIPPETS, StoreManifest, TableName, tensor_values
from schemas.features import IMAGE_TABLES

BAGS = {
    feature.table: feature
    for feature in FEATURES.values()
    if feature.table not in (SNIPPETS, *IMAGE_TABLES)
}
"""What an instance is, by the table of the instances."""

ROWS = 1024
"""Rows of a table that are in memory at once."""


def read_bags(
    manifest: StoreManifest, table: TableName, keys: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Read the instances of every clip: float32 [N, P, width], and presence, bool [N, P].

    Instances keep the order of the table. A clip without any has none present. `UsageError` when
    the store holds a value that is not finite.
    """
    order = pa.array(keys)
    column, shape = BAGS[table].column, BAGS[table].shape
    refuse_miscounted(manifest, table)
    sizes = _sizes(manifest, table, order)
    there = np.zeros((len(keys), max(1, int(sizes.max()))), np.bool_)
    values = allocate((*there.shape, *shape))
    used = np.zeros(len(keys), np.int64)
    for path in manifest.paths(table):
        for rows in open_part(path).iter_batches(ROWS, columns=["clip_key", column]):
            clip = clip_indices(path, rows["clip_key"], order)
            features, present = tensor_values(rows[column], shape)
            instance = used[clip] + _repeats(clip)
            values[clip, instance], there[clip, instance] = features, present
            used += np.bincount(clip, minlength=len(keys))
    refuse_nan(manifest, table, values, keys)
    return torch.from_numpy(values), torch.from_numpy(there)


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
