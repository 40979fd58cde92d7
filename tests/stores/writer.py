"""The one writer of made-up stores: rows go through the product's own store, as a job's do."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.store.feature_store import FeatureStore
from pipelines.store.parquet import failures_table
from schemas import RECIPES, Failure, Recipe, TableName, table_schema
from tests.stores.edits import edit_record

Rows = Sequence[Mapping[str, Any]]
Tables = Mapping[TableName, pa.Table]

RECIPE = RECIPES["llp-eccv20"].with_(weights="seeded:0")
"""What made-up features claim to be made by."""


def write_store(
    root: Path, parts: Iterable[Tables], *, vocabulary: Sequence[str], dataset: str = "folder",
    recipe: Recipe = RECIPE, events: pa.Table | None = None, **changes: Any,
) -> Path:  # fmt: skip
    """Write a store of the given parts: `part-000000` and so on, receipts, the manifest last.

    `changes` replace entries of the manifest afterwards, so that a test can spoil it.
    """
    store = FeatureStore(str(root), recipe)
    store.open(dataset, recipe)
    for number, tables in enumerate(parts):
        commit(store, f"part-{number:06d}", tables)
    write_manifest(store, recipe, vocabulary, dataset, events)
    if changes:
        edit_record(root / "manifest.json", lambda manifest: manifest.update(changes))
    return root


def commit(store: FeatureStore, unit: str, tables: Tables, failed: Iterable[Failure] = ()) -> None:
    """Commit one unit: its clips are those of table `clips`."""
    keys = tables["clips"]["clip_key"].to_pylist()
    store.commit(unit, tables, keys, failed, {"decode": 1.0}, {"device": "cpu"})


def write_manifest(
    store: FeatureStore, recipe: Recipe, vocabulary: Sequence[str], dataset: str = "folder",
    events: pa.Table | None = None,
) -> None:  # fmt: skip
    """Write the manifest as the last step of a features job does."""
    state = store.state()
    extra: dict[TableName, pa.Table] = {
        "failures": failures_table(state.failed.values()),
        "events": table_schema("events").empty_table() if events is None else events,
    }
    counts = {
        "clips_in": len(state.done) + len(state.failed),
        "clips_done": len(state.done),
        "clips_failed": len(state.failed),
    }
    facts = {
        "dataset": dataset, "recipe": recipe.to_json(), "vocabulary": list(vocabulary),
        "counts": counts, "provenance": {},
    }  # fmt: skip
    store.write_manifest(state, extra, facts)


def to_table(name: TableName, rows: Rows, recipe: Recipe = RECIPE) -> pa.Table:
    """Return rows as a table of a store; columns that they lack are null."""
    schema = table_schema(name, recipe)
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def split_by_clip(rows: Mapping[TableName, Rows], parts: int) -> Iterable[Tables]:
    """Cut rows into parts of whole clips, in the order of table `clips`.

    Rows of a clip that is not in `clips` go into the last part.
    """
    keys = [row["clip_key"] for row in rows["clips"]]
    part_of = {key: index * parts // len(keys) for index, key in enumerate(keys)}
    for part in range(parts):
        yield {
            name: to_table(
                name, [row for row in lines if part_of.get(row["clip_key"], parts - 1) == part]
            )
            for name, lines in rows.items()
        }


def clip_row(key: str, seconds: int, split: str, labels: Sequence[str]) -> dict[str, Any]:
    """Return a clip of whole seconds with picture and sound as a row of table `clips`."""
    return {
        "clip_key": key, "video_id": key, "start_s": 0.0, "end_s": float(seconds), "split": split,
        "labels": list(labels), "n_snippets": seconds, "has_audio": True, "has_video": True,
    }  # fmt: skip


def snippet_columns(keys: Sequence[str], seconds: int) -> dict[str, pa.Array]:
    """Return the columns of table `snippets` that are no features, one row per clip and second."""
    count = len(keys) * seconds
    return {
        "clip_key": pa.array(np.repeat(keys, seconds).tolist(), pa.string()),
        "snippet_index": pa.array(np.tile(np.arange(seconds, dtype=np.int32), len(keys))),
        "start_s": pa.array(np.tile(np.arange(seconds, dtype=np.float64), len(keys))),
        "valid": pa.array(np.ones(count, bool)),
    }
