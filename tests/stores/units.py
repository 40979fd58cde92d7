"""Stores of random rows that grow unit by unit, as under a features job, and packs of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.jobs.pack import pack
from pipelines.store.feature_store import FeatureStore
from schemas import Failure, Reason, TableName, table_schema, tensor_array
from tests.stores.writer import (
    RECIPE,
    clip_row,
    commit,
    snippet_columns,
    to_table,
    write_manifest,
)

CLASSES = ("Bell", "Dog", "Speech")
WIDTHS = {"vggish": (128,), "resnet152": (2048,), "r2plus1d": (512,), "logmel": (100, 64)}
SPLITS = ("train", "train", "train", "val", "test")


def add_units(
    out: Path, *, units: int, clips: int = 4, seconds: int = 10, first: int = 0,
    features: Sequence[str] = ("vggish", "resnet152", "r2plus1d"), boxes: int = 0,
    failures: int = 1,
) -> FeatureStore:  # fmt: skip
    """Commit units of `clips` clips and some failures each, then the manifest, as a job does."""
    recipe = RECIPE.with_(extractors=tuple(features))
    store = FeatureStore(str(out), recipe)
    store.open("folder", recipe)
    for unit in range(first, first + units):
        keys = [f"clip{unit:05d}x{index}" for index in range(clips)]
        failed = [
            Failure(f"lost{unit:05d}x{index}", "find", Reason.GONE, "not there", 1, "2026-01-01")
            for index in range(failures)
        ]
        tables: dict[TableName, pa.Table] = {
            "clips": _clips(keys, seconds, unit),
            "snippets": _snippets(keys, seconds, features, unit),
        }
        if boxes:
            tables["proposals"] = _proposals(keys, boxes, unit)
        digest = np.random.default_rng(unit).bytes(8).hex()
        commit(store, f"unit-{digest}", tables, failed)
    write_manifest(store, recipe, CLASSES)
    return store


def pack_at_once(
    out: Path,
    most: int = 2_000_000,
    *,
    row_group_bytes: int = pack.ROW_GROUP_BYTES,
    keep_parts: bool = False,
) -> None:
    """Do what the pack job does, without Beam."""
    store = FeatureStore(str(out))
    for shard in pack.plan(store, most):
        pack.pack(store, shard, row_group_bytes)
    pack.finish(store, keep_parts=keep_parts)


def _clips(keys: Sequence[str], seconds: int, unit: int) -> pa.Table:
    rows = [
        clip_row(
            key, seconds, SPLITS[(unit + index) % len(SPLITS)],
            [CLASSES[(unit + index) % len(CLASSES)]],
        )
        for index, key in enumerate(keys)
    ]  # fmt: skip
    return to_table("clips", rows)


def _snippets(keys: Sequence[str], seconds: int, features: Sequence[str], seed: int) -> pa.Table:
    schema = table_schema("snippets")
    random = np.random.default_rng(seed)
    columns = snippet_columns(keys, seconds)
    count = len(keys) * seconds
    for name, shape in WIDTHS.items():
        present = np.full(count, name in features)
        values = random.standard_normal((count, *shape), np.float32) if name in features else None
        columns[name] = tensor_array(values, present, schema.field(name))
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _proposals(keys: Sequence[str], boxes: int, seed: int) -> pa.Table:
    schema = table_schema("proposals")
    random = np.random.default_rng(seed)
    count = len(keys) * boxes
    corner = random.random((4, count), np.float32) / 2
    columns = {
        "clip_key": pa.array(np.repeat(keys, boxes).tolist()),
        "snippet_index": pa.array(np.zeros(count, np.int32)),
        "frame_index": pa.array(np.zeros(count, np.int32)),
        "rank": pa.array(np.tile(np.arange(boxes, dtype=np.int32), len(keys))),
        "x0": pa.array(corner[0]), "y0": pa.array(corner[1]),
        "x1": pa.array(corner[0] + 0.1 + corner[2] / 2),
        "y1": pa.array(corner[1] + 0.1 + corner[3] / 2),
        "score": pa.array(random.random(count, np.float32)),
        "feature": tensor_array(
            random.standard_normal((count, 2048), np.float32), np.ones(count, bool),
            schema.field("feature"),
        ),
    }  # fmt: skip
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
