"""Feature stores made of random rows, as a features job would leave them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.jobs.pack import pack
from pipelines.store.feature_store import FeatureStore
from pipelines.store.parquet import failures_table
from schemas import (
    RECIPES,
    Failure,
    Reason,
    Recipe,
    TableName,
    read_store_manifest,
    table_schema,
    tensor_array,
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
    store = FeatureStore(str(out))
    recipe = RECIPES["llp-eccv20"].with_(weights="seeded:0", extractors=tuple(features))
    store.open("folder", recipe)
    for unit in range(first, first + units):
        names = [f"clip{unit:05d}x{place}" for place in range(clips)]
        failed = [
            Failure(f"lost{unit:05d}x{place}", "find", Reason.GONE, "not there", 1, "2026-01-01")
            for place in range(failures)
        ]
        tables: dict[TableName, pa.Table] = {
            "clips": _clips(names, seconds, unit),
            "snippets": _snippets(names, seconds, features, unit),
        }
        if boxes:
            tables["proposals"] = _proposals(names, boxes, unit)
        digest = np.random.default_rng(unit).bytes(8).hex()
        store.commit(f"unit-{digest}", tables, names, failed, {"decode": 1.0}, {"device": "cpu"})
    finish(store, recipe)
    return store


def finish(store: FeatureStore, recipe: Recipe) -> None:
    """Write the manifest as the last step of a features job does."""
    state = store.state()
    counts = {
        "clips_in": len(state.done) + len(state.failed),
        "clips_done": len(state.done),
        "clips_failed": len(state.failed),
    }
    facts = {
        "dataset": "folder", "recipe": recipe.to_json(), "vocabulary": list(CLASSES),
        "counts": counts, "provenance": {},
    }  # fmt: skip
    extra: dict[TableName, pa.Table] = {
        "failures": failures_table(state.failed.values()),
        "events": table_schema("events").empty_table(),
    }
    store.write_manifest(state, extra, facts)


def pack_at_once(out: Path, most: int = 2_000_000, *, keep_parts: bool = False) -> None:
    """What the job does, without Beam."""
    store = FeatureStore(str(out))
    for shard in pack.plan(store, most):
        pack.pack(store, shard)
    pack.finish(store, keep_parts=keep_parts)


def in_order(out: Path, name: TableName) -> pa.Table:
    """A table as readers see it."""
    return pa.concat_tables([pq.read_table(path) for path in read_store_manifest(out).paths(name)])


def all_bytes(out: Path) -> dict[str, bytes]:
    """Every file that is not hidden."""
    found = (path for path in out.rglob("*") if path.is_file() and path.name[0] != ".")
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def _clips(names: Sequence[str], seconds: int, unit: int) -> pa.Table:
    rows = [
        {
            "clip_key": name, "video_id": name, "start_s": 0.0, "end_s": float(seconds),
            "split": SPLITS[(unit + place) % len(SPLITS)],
            "labels": [CLASSES[(unit + place) % len(CLASSES)]], "n_snippets": seconds,
            "has_audio": True, "has_video": True,
        }
        for place, name in enumerate(names)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=table_schema("clips"))


def _snippets(names: Sequence[str], seconds: int, features: Sequence[str], seed: int) -> pa.Table:
    schema = table_schema("snippets")
    random = np.random.default_rng(seed)
    count = len(names) * seconds
    columns = {
        "clip_key": pa.array(np.repeat(names, seconds).tolist()),
        "snippet_index": pa.array(np.tile(np.arange(seconds, dtype=np.int32), len(names))),
        "start_s": pa.array(np.tile(np.arange(seconds, dtype=np.float64), len(names))),
        "valid": pa.array(np.ones(count, bool)),
    }
    for name, shape in WIDTHS.items():
        present = np.full(count, name in features)
        values = random.standard_normal((count, *shape), np.float32) if name in features else None
        columns[name] = tensor_array(values, present, schema.field(name))
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _proposals(names: Sequence[str], boxes: int, seed: int) -> pa.Table:
    schema = table_schema("proposals")
    random = np.random.default_rng(seed)
    count = len(names) * boxes
    corner = random.random((4, count), np.float32) / 2
    columns = {
        "clip_key": pa.array(np.repeat(names, boxes).tolist()),
        "snippet_index": pa.array(np.zeros(count, np.int32)),
        "frame_index": pa.array(np.zeros(count, np.int32)),
        "rank": pa.array(np.tile(np.arange(boxes, dtype=np.int32), len(names))),
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
