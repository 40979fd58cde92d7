"""Whether features are fit to learn from: nulls, norms, dead dimensions, a map, neighbours.

A large store is sampled: rows from parts spread evenly over it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.commands.report.records import Row
from schemas import SNIPPETS, StoreManifest, tensor_shape, tensor_values
from schemas.page import COLOURS, share

MOST_SAMPLED = 4000
"""Rows of a column that are looked at."""
MOST_VALUES = 4_000_000
"""Values of a column that are looked at: of wide rows there are fewer."""
MOST_PARTS = 64
NEIGHBOURS = 3
_MAP_ORDER = ("vggish", "resnet152", "r2plus1d")
"""Columns that a map is drawn of, the first that is there."""
_DEAD = 1e-6
"""A dimension whose standard deviation is below this tells nothing apart."""


@dataclass(frozen=True, kw_only=True)
class ColumnHealth:
    """What one feature column looks like, over the rows that were looked at."""

    name: str
    shape: tuple[int, ...]
    rows: int
    nulls: int
    not_finite: int
    """Values that are no finite numbers."""
    norm: float
    """Mean Euclidean norm of a row; NaN without rows."""
    norm_std: float
    dead: int
    """Dimensions that are the same in every row."""
    dimensions: int


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A clip on the map."""

    x: float
    """Per cent of the map's width."""
    y: float
    colour: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ClipMap:
    """Clips by their mean feature: places on two axes, and who is next to whom."""

    column: str
    dots: tuple[Dot, ...]
    legend: tuple[tuple[str, str], ...]
    """Class and colour."""
    neighbours: Mapping[str, tuple[str, ...]]
    """Clip to the clips whose features are closest by cosine."""
    same_label: float
    """Per cent of labelled clips whose closest clip has a label in common."""
    chance: float
    """The same for clips drawn at random."""


def sample_column(
    manifest: StoreManifest, table: str, column: str, most: int = MOST_SAMPLED
) -> pa.Table:
    """Return `clip_key` and a column for at most `most` rows, spread over the parts."""
    paths = manifest.paths(table)
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), MOST_PARTS)).astype(int)
    picked = [paths[index] for index in chosen]
    each = -(-most // max(1, len(picked)))
    batches: list[pa.RecordBatch] = []
    for path in picked:
        left = each
        with pq.ParquetFile(path) as part:
            for batch in part.iter_batches(min(512, each), columns=["clip_key", column]):
                batches.append(batch.slice(0, left))
                left -= batches[-1].num_rows
                if left <= 0:
                    break
    return pa.Table.from_batches(batches) if batches else pa.table({"clip_key": [], column: []})


def column_health(name: str, sample: pa.Table) -> ColumnHealth | None:
    """Measure one feature column of a sample; None for a column without a shape."""
    shape = tensor_shape(sample.schema.field(name)) if sample.num_rows else None
    if shape is None:
        return None
    values, present = _values(sample, name, shape)
    flat = values[present].reshape(int(present.sum()), math.prod(shape))
    norms = np.linalg.norm(np.nan_to_num(flat), axis=1)
    return ColumnHealth(
        name=name, shape=shape, rows=sample.num_rows, nulls=int((~present).sum()),
        not_finite=int((~np.isfinite(flat)).sum()),
        norm=float(norms.mean()) if len(norms) else float("nan"),
        norm_std=float(norms.std()) if len(norms) else float("nan"),
        dead=int((flat.std(axis=0) < _DEAD).sum()) if len(flat) > 1 else 0,
        dimensions=flat.shape[1],
    )  # fmt: skip


def _values(
    sample: pa.Table, name: str, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    return tensor_values(sample.column(name).combine_chunks(), shape)


def health(manifest: StoreManifest) -> list[ColumnHealth]:
    """Measure every feature column of every table of a store."""
    found = []
    for table in manifest.tables:
        paths = manifest.paths(table)
        for field in pq.read_schema(paths[0]) if paths else ():
            shape = tensor_shape(field)
            if shape is None:
                continue
            name = field.name if table == SNIPPETS else f"{table}.{field.name}"
            most = max(1, min(MOST_SAMPLED, MOST_VALUES // math.prod(shape)))
            sample = sample_column(manifest, table, field.name, most)
            sample = sample.rename_columns(["clip_key", name])
            found.append(column_health(name, sample))
    return [one for one in found if one is not None]


def clip_map(manifest: StoreManifest, clips: Mapping[str, Row]) -> ClipMap | None:
    """Place the sampled clips by the mean of their features; None below three clips."""
    for column in _MAP_ORDER:
        keys, features = _clip_means(manifest, column)
        if len(keys) >= 3:
            return _place(column, keys, features, clips)
    return None


def _clip_means(manifest: StoreManifest, column: str) -> tuple[list[str], NDArray[np.float32]]:
    paths = manifest.paths(SNIPPETS)
    nothing = np.zeros((0, 0), np.float32)
    if not paths or column not in pq.read_schema(paths[0]).names:
        return [], nothing
    sample = sample_column(manifest, SNIPPETS, column)
    shape = tensor_shape(sample.schema.field(column))
    if shape is None:
        return [], nothing
    values, present = _values(sample, column, shape)
    rows: dict[str, list[int]] = {}
    for index, key in enumerate(sample.column("clip_key").to_pylist()):
        if present[index]:
            rows.setdefault(key, []).append(index)
    means = [values[found].reshape(len(found), -1).mean(axis=0) for found in rows.values()]
    return list(rows), np.stack(means) if means else nothing


def _place(
    column: str, keys: Sequence[str], features: NDArray[np.float32], clips: Mapping[str, Row]
) -> ClipMap:
    centred = np.nan_to_num(features - features.mean(axis=0))
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    places = np.pad(centred @ axes.T, ((0, 0), (0, max(0, 2 - len(axes)))))
    labels = [clips[key]["labels"] or [] if key in clips else [] for key in keys]
    common = Counter(label for found in labels for label in found).most_common(len(COLOURS))
    colours = {label: colour for (label, _), colour in zip(common, COLOURS, strict=False)}
    low, high = places.min(axis=0), places.max(axis=0)
    dots = tuple(
        Dot(
            x=share(x, low[0], high[0]), y=100 - share(y, low[1], high[1]),
            colour=next((colours[one] for one in found if one in colours), "dim"),
            text=f"{key}: {', '.join(found) or 'no label'}",
        )
        for key, found, (x, y) in zip(keys, labels, places.tolist(), strict=True)
    )  # fmt: skip
    closest = _closest(centred)
    same, chance = _agreement(labels, closest[:, 0])
    return ClipMap(
        column=column, dots=dots, legend=tuple(colours.items()), same_label=same, chance=chance,
        neighbours={
            key: tuple(keys[other] for other in row) for key, row in zip(keys, closest, strict=True)
        },
    )  # fmt: skip


def _closest(features: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return for each row [R, D] the others closest by cosine, closest first [R, <= 3]."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(norms, 1e-12)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    return np.argsort(-likeness, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(unit) - 1)]


def _agreement(labels: Sequence[Sequence[str]], closest: NDArray[Any]) -> tuple[float, float]:
    """Return how many clips share a label with the given one, and with any, in per cent."""
    sets = [set(found) for found in labels]
    known = [i for i, found in enumerate(sets) if found]
    if not known:
        return float("nan"), float("nan")
    same = np.mean([bool(sets[i] & sets[closest[i]]) for i in known])
    random = np.random.default_rng(0)
    pairs = random.integers(0, len(sets), (2000, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    chance = np.mean([bool(sets[a] & sets[b]) for a, b in pairs if sets[a]] or [False])
    return float(100 * same), float(100 * chance)
