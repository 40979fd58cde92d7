"""Reading a store whole, to compare two of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import TableName, read_store_manifest, tensor_shape, tensor_values

ORDER = {
    "clips": ["clip_key"],
    "snippets": ["clip_key", "snippet_index"],
    "segments": ["clip_key", "segment_index"],
    "proposals": ["clip_key", "frame_index", "rank"],
    "failures": ["clip_key"],
}


def read_table(out: Path, name: TableName) -> pa.Table:
    """One table of a store in the order of its keys, whatever parts it lies in."""
    parts = [pq.read_table(path) for path in read_store_manifest(out).paths(name)]
    assert parts, f"{out} has no {name}"
    return pa.concat_tables(parts).sort_by([(key, "ascending") for key in ORDER[name]])


def same_rows(one: Path, other: Path, names: tuple[TableName, ...], tolerance: float = 0.0) -> None:
    """Assert that two stores hold the same rows with the same values.

    Feature columns may differ by `tolerance`, everything else by nothing.
    """
    for name in names:
        first, second = read_table(one, name), read_table(other, name)
        if name == "failures":  # when it happened, and how often, may differ
            first, second = (t.drop_columns(["at", "attempts"]) for t in (first, second))
        if tolerance:
            first, second = close_features(first, second, tolerance)
        assert first.equals(second), name


def close_features(first: pa.Table, second: pa.Table, tolerance: float) -> tuple[pa.Table, ...]:
    """Assert that feature columns are close and equally absent; return what else there is."""
    for field in first.schema:
        shape = tensor_shape(field)
        if shape is not None:
            ours, theirs = (
                tensor_values(t[field.name].combine_chunks(), shape) for t in (first, second)
            )
            np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=tolerance)
            np.testing.assert_array_equal(ours[1], theirs[1])
            first, second = (t.drop_columns([field.name]) for t in (first, second))
    return first, second


def counts(out: Path) -> dict[str, Any]:
    """The counts of a store's manifest."""
    found: dict[str, Any] = read_store_manifest(out).data["counts"]
    return found


def in_order(out: Path, name: TableName) -> pa.Table:
    """A table as readers see it."""
    return pa.concat_tables([pq.read_table(path) for path in read_store_manifest(out).paths(name)])


def all_bytes(out: Path) -> dict[str, bytes]:
    """Every file that is not hidden."""
    found = (path for path in out.rglob("*") if path.is_file() and path.name[0] != ".")
    return {str(path.relative_to(out)): path.read_bytes() for path in found}
