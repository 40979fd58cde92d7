"""Clips of a feature store in memory, or mapped from a file where they are too large.

Letters: N clips, P instances of the largest bag, T seconds, C classes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.batch import Batch
from models.data.bags import BAGS, read_bags
from models.data.parquet import (
    MEMORY_LIMIT,
    allocate,
    clip_indices,
    open_part,
    refuse_nan,
)
from models.data.source import ClipSource, ClipTable, read_clip_table
from models.data.truth import read_truth
from schemas import (
    FEATURES,
    StoreManifest,
    UsageError,
    stored_values,
    tensor_shape,
)
from schemas.features import extractor_of


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipData(ClipSource):
    """All clips of a store with their features in memory."""

    features: dict[str, Tensor]
    """Feature name to float32 [N, T, *shape], a table of instances to [N, P, width]; zero where
    absent."""
    present: dict[str, Tensor]
    """Feature name to bool [N, T] or [N, P]."""

    def shape(self, feature: str) -> tuple[int, ...]:
        """Return the shape of a feature in one second."""
        return tuple(self.features[feature].shape[2:])

    def batch(self, rows: Tensor, progress: float = 0.0) -> Batch:
        """Return some clips as a batch."""
        return Batch(
            features={name: values[rows] for name, values in self.features.items()},
            present={name: values[rows] for name, values in self.present.items()},
            labels=self.labels[rows].float(),
            pseudo_labels=self.pseudo_labels_of(rows),
            dropped_audio=self.dropped_labels("audio", rows),
            dropped_visual=self.dropped_labels("visual", rows),
            quality=self.quality,
            progress=progress,
        )

    def cut(self, rows: NDArray[np.int64], seconds: int) -> "ClipData":
        """Return some clips without the seconds behind their end; bags stay whole."""
        chosen = torch.from_numpy(rows)

        def cut(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {
                name: held[chosen] if name in BAGS else held[chosen, :seconds]
                for name, held in values.items()
            }

        return replace(
            self,
            keys=tuple(self.keys[row] for row in rows),
            splits=self.splits[rows],
            seconds=seconds,
            labels=self.labels[chosen],
            pseudo_labels={},
            features=cut(self.features),
            present=cut(self.present),
        )

    def having(self, feature: str) -> NDArray[np.bool_]:
        """Return which clips have a feature at all, [N]."""
        there: NDArray[np.bool_] = self.present[feature].flatten(1).any(dim=1).cpu().numpy()
        return there

    def to(self, device: torch.device) -> "ClipData":
        """Return the same clips with their tensors on a device."""
        if device.type == "cpu":
            return self
        return replace(
            self,
            features={name: values.to(device) for name, values in self.features.items()},
            present={name: values.to(device) for name, values in self.present.items()},
            labels=self.labels.to(device),
            quality=None if self.quality is None else self.quality.to(device),
            pseudo_labels={
                modality: scores.to(device) for modality, scores in self.pseudo_labels.items()
            },
        )


def in_memory(clips: ClipSource) -> ClipData:
    """Return clips as those in memory that they are, for methods that read whole features."""
    if not isinstance(clips, ClipData):
        raise TypeError("these clips are streamed; the method's settings must say stream='no'")
    return clips


def open_clips(
    root: Path,
    needs: Sequence[str],
    annotations: Path | None = None,
    *,
    classes: Sequence[str] | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> ClipData:
    """Read the clips of the store at `root` with the features `needs`.

    These are columns of the table `snippets`, or names of tables of instances
    (`models.data.bags.BAGS`).

    `classes` names the classes for clips that a trained model shall look at: their store needs none
    of its own, and a clip may lack any feature. Dense truth comes from the store's table `events`,
    or from the original annotation files in `annotations`. Features above `memory_limit` bytes are
    mapped from a temporary file. `UsageError` when `root` is no store,
    lacks a feature, holds a value that is not finite or a label outside the vocabulary, or when no
    annotated event belongs to a clip.
    """
    table = read_clip_table(root, classes)
    columns = [name for name in needs if name not in BAGS]
    features, present = _features(table, columns, memory_limit)
    for bag in (name for name in needs if name in BAGS):
        features[bag], present[bag] = read_bags(table.manifest, bag, table.keys)
    if classes is None:
        _refuse_absent(table.manifest, present)
    dense = read_truth(table, annotations)
    return ClipData(
        **vars(table),
        features=features,
        present=present,
        truth=dense.grid,
        dense_splits=dense.splits,
        truth_edition=dense.edition,
        sound_events=dense.sound_events,
    )


def _features(
    table: ClipTable, needs: Sequence[str], memory_limit: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Read features [N, T, width] and their presence [N, T] by name, part by part."""
    manifest, keys, seconds = table.manifest, table.keys, table.seconds
    arrays: dict[str, NDArray[np.float32]] = {}
    present = {name: np.zeros((len(keys), seconds), np.bool_) for name in needs}
    order, found = pa.array(keys), np.zeros(len(keys), np.bool_)
    for path in manifest.paths("snippets"):
        part = open_part(path)
        lacking = [name for name in needs if name not in part.schema_arrow.names]
        if lacking:
            raise UsageError(_lacks(manifest, lacking[0], part.schema_arrow.names))
        for rows in part.iter_batches(1024, columns=["clip_key", "snippet_index", *needs]):
            clip = clip_indices(path, rows["clip_key"], order)
            found[clip] = True
            second = rows["snippet_index"].to_numpy()
            inside = second < seconds
            cells = clip[inside], second[inside]
            for name in needs:
                values, there = feature_column(name, rows[name], part.schema_arrow.field(name))
                if name not in arrays:
                    shape = (len(keys), seconds, *values.shape[1:])
                    arrays[name] = allocate(shape, len(needs), memory_limit)
                arrays[name][cells], present[name][cells] = values[inside], there[inside]
    pa.default_memory_pool().release_unused()  # Arrow keeps what the parts were decoded in
    if needs and not found.all():
        raise UsageError(without_seconds(manifest.root, keys[int(found.argmin())]))
    for name in needs:
        refuse_nan(manifest, name, arrays[name], keys)
    return (
        {name: torch.from_numpy(arrays[name]) for name in needs},
        {name: torch.from_numpy(present[name]) for name in needs},
    )


def without_seconds(root: Path, key: str) -> str:
    """Return the sentence about a clip of which no listed part has a row."""
    return f"clip {key} of {root} has no seconds; run `beam validate`"


def feature_column(
    name: str, column: pa.Array, field: pa.Field
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return one feature column of a record batch: [R, *shape], zero where absent; presence [R].

    Values have the type in which they are stored and are not to be written to. Frames that were
    stored one by one, [R, 8, *shape], are averaged.
    """
    values, present = stored_values(column, tensor_shape(field) or ())
    feature = FEATURES.get(extractor_of(name))
    if feature is not None and feature.per_frame and values.ndim == len(feature.shape) + 2:
        values = values.mean(axis=1)
    return values, present


def _refuse_absent(manifest: StoreManifest, present: Mapping[str, Tensor]) -> None:
    """Raise `UsageError` for a feature that no clip has."""
    for name, there in present.items():
        if not there.any():
            has = [other for other in present if present[other].any()]
            raise UsageError(_lacks(manifest, name, has))


def _lacks(manifest: StoreManifest, name: str, has: Iterable[str]) -> str:
    known = sorted(set(has) - {"clip_key", "snippet_index", "start_s", "valid"})
    return (
        f"{manifest.root} has no feature {name!r} in any clip (it has "
        f"{', '.join(known) or 'none'}); run the features job again with extractor "
        f"{extractor_of(name)}"
    )
