"""Reading a store whole, to compare two of them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import TableName, read_store_manifest

ORDER = {
    "clips": ["clip_key"],
    "snippets": ["clip_key", "snippet_index"],
    "segments": ["clip_key", "segment_index"],
    "proposals": ["clip_key", "frame_index", "rank"],
    "failures": ["clip_key"],
    "pseudo_labels": ["clip_key", "snippet_index", "modality", "label"],
}


def read_table(out: Path, name: TableName) -> pa.Table:
    """One table of a store in the order of its keys, whatever parts it lies in."""
    parts = [pq.read_table(path) for path in read_store_manifest(out).paths(name)]
    assert parts, f"{out} has no {name}"
    return pa.concat_tables(parts).sort_by([(key, "ascending") for key in ORDER[name]])


def same_rows(one: Path, other: Path, names: tuple[TableName, ...]) -> None:
    """Assert that two stores hold the same rows with the same values."""
    for name in names:
        first, second = read_table(one, name), read_table(other, name)
        if name == "failures":  # when it happened, and how often, may differ
            first, second = (t.drop_columns(["at", "attempts"]) for t in (first, second))
        assert first.equals(second), name


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
