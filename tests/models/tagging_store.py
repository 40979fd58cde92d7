"""A small store for models that tag clips: sound tells half of the classes, picture half."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas import SCHEMA_VERSION, TABLES, table_schema, tensor_array

CLASSES = ("Bell", "Dog", "Engine", "Rain", "Speech", "Wind")
SHAPES = {"logmel": (100, 64), "resnet152": (2048,), "r2plus1d": (512,), "vggish": (128,)}


def write_store(
    root: Path, *, train: int = 48, val: int = 16, test: int = 24, seconds: int = 2, parts: int = 4,
    features: Sequence[str] = ("logmel", "resnet152", "r2plus1d"), labels: int = 2,
    noise: float = 1.0, seed: int = 0, prefix: str = "", classes: Sequence[str] = CLASSES,
    **changes: Any,
) -> Path:  # fmt: skip
    """Write a store; `labels` is the most that a clip has, `changes` replace manifest entries."""
    random = np.random.default_rng(seed)
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    keys = [f"{prefix}{split}{row:05d}_0_{seconds}" for row, split in enumerate(splits)]
    hot = np.zeros((len(keys), len(classes)), bool)
    for row in range(len(keys)):
        hot[row, random.choice(len(classes), random.integers(1, labels + 1), replace=False)] = True
        hot[row, row % len(classes)] |= labels > 1
    signs = _signs(len(classes))
    tables: dict[str, list[str]] = {name: [] for name in TABLES}
    for part, rows in enumerate(np.array_split(np.arange(len(keys)), parts)):
        name = f"part-{part:06d}.parquet"
        held = {
            one: _values(signs[one], hot[rows], seconds, one, noise, random) for one in features
        }
        names = [
            [label for label, there in zip(classes, hot[row], strict=True) if there] for row in rows
        ]
        _write(root, "clips", name, tables, _clips(rows, keys, splits, names, seconds))
        _write(root, "snippets", name, tables, _snippets(rows, keys, seconds, held))
    digest = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:12]
    manifest = {
        "schema_version": SCHEMA_VERSION, "dataset": "folder",
        "recipe": {"name": "llp-eccv20", "hash": "0" * 12, "weights": "seeded:0",
                   "resnet152_frames": "mean"},
        "tables": tables, "provenance": {}, "subset_id": digest, "vocabulary": list(classes),
        "counts": {"clips_in": len(keys), "clips_done": len(keys), "clips_failed": 0},
        "n_seconds": seconds, "settings": {},
    }  # fmt: skip
    (root / "manifest.json").write_text(json.dumps(manifest | changes))
    return root


def _signs(classes: int) -> dict[str, NDArray[np.float64]]:
    """What each class looks and sounds like, the same in every store."""
    random = np.random.default_rng(99)
    signs = {name: random.random((classes, shape[-1])) for name, shape in SHAPES.items()}
    half = classes // 2
    signs["logmel"][half:] *= 0.2  # the second half is hard to hear
    for name in ("resnet152", "r2plus1d"):
        signs[name][:half] *= 0.2  # the first half is hard to see
    return signs


def _values(
    sign: NDArray[np.float64], hot: NDArray[np.bool_], seconds: int, name: str, noise: float,
    random: np.random.Generator,
) -> NDArray[np.float32]:  # fmt: skip
    shape = (len(hot), seconds, *SHAPES[name])
    level = hot @ sign
    place = (slice(None), *[None] * (len(shape) - 2), slice(None))
    scale = 3.0 if name == "logmel" else 1.0
    return (scale * level[place] + noise * random.standard_normal(shape)).astype(np.float32)


def _clips(
    rows: NDArray[Any], keys: Sequence[str], splits: Sequence[str], names: Sequence[list[str]],
    seconds: int,
) -> pa.Table:  # fmt: skip
    lines = [
        {
            "clip_key": keys[row], "video_id": keys[row], "start_s": 0.0, "end_s": float(seconds),
            "split": splits[row], "labels": labels,
            "n_snippets": seconds, "has_audio": True, "has_video": True,
        }
        for row, labels in zip(rows, names, strict=True)
    ]  # fmt: skip
    return pa.Table.from_pylist(lines, schema=table_schema("clips"))


def _snippets(
    rows: NDArray[Any], keys: Sequence[str], seconds: int, held: dict[str, NDArray[np.float32]]
) -> pa.Table:
    schema = table_schema("snippets")
    count = len(rows) * seconds
    columns: dict[str, Any] = {
        "clip_key": pa.array(np.repeat([keys[row] for row in rows], seconds).tolist()),
        "snippet_index": pa.array(np.tile(np.arange(seconds, dtype=np.int32), len(rows))),
        "start_s": pa.array(np.tile(np.arange(seconds, dtype=np.float64), len(rows))),
        "valid": pa.array(np.ones(count, bool)),
    }
    for field in schema:
        if field.name not in columns:
            values = held.get(field.name)
            flat = None if values is None else values.reshape(count, *values.shape[2:])
            columns[field.name] = tensor_array(flat, np.full(count, flat is not None), field)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _write(root: Path, table: str, name: str, tables: dict[str, list[str]], rows: pa.Table) -> None:
    path = root / table / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, compression="zstd", compression_level=1)
    tables[table].append(str(path.relative_to(root)))
