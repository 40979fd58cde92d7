"""The clips of a store that pseudo labels are made for, and the rows that come of their scores."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from schemas import UsageError, table_schema
from schemas.events import Modality
from schemas.labels import PSEUDO_LABELS

Scores = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledClip:
    """A clip of a store with its weak labels."""

    key: str
    seconds: int
    """T."""
    labels: tuple[str, ...]
    """Weak labels, class names."""
    split: str


def open_store(out: str) -> tuple[FeatureStore, dict[str, Any]]:
    """Return a finished store and its manifest; `UsageError` where there is none."""
    store = FeatureStore(files.absolute(out))
    manifest = store.read_manifest()
    if manifest is None or store.identity() is None:
        raise UsageError(
            f"{store.out} holds no finished feature store; run beam run features --out on it first"
        )
    if not manifest["vocabulary"]:
        raise UsageError(f"{store.out} has no class names; its clips need labels first")
    return store, manifest


def read_clips(store: FeatureStore, manifest: Mapping[str, Any]) -> list[LabelledClip]:
    """Read the clips of a store in order."""
    columns = ["clip_key", "n_snippets", "labels", "split"]
    return [
        LabelledClip(
            key=row["clip_key"], seconds=row["n_snippets"], labels=tuple(row["labels"] or ()),
            split=row["split"] or "",
        )
        for part in store.read_rows(manifest, "clips", columns)
        for row in part.to_pylist()
    ]  # fmt: skip


def label_rows(
    clip: LabelledClip, modality: Modality, names: Iterable[str], scores: Scores
) -> pa.Table:
    """Return the rows of one clip and modality from the scores [T, C] of the classes `names`.

    Each weak label has a row in every second, any other class where its score is not zero.
    """
    order = list(names)
    wanted = scores > 0
    wanted[:, [order.index(name) for name in clip.labels if name in order]] = True
    second, column = np.nonzero(wanted)
    return pa.table(
        {
            "clip_key": pa.array([clip.key] * len(second), pa.string()),
            "snippet_index": second.astype(np.int32),
            "modality": pa.array([modality] * len(second), pa.string()),
            "label": pa.array([order[index] for index in column], pa.string()),
            "score": scores[second, column].astype(np.float32),
        },
        schema=table_schema(PSEUDO_LABELS),
    )
