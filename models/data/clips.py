"""Clips of a feature store as tensors: shards in, batches out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.batch import Batch
from models.contract.config import TrainConfig
from models.data.bags import BAGS, read_bags
from models.data.parquet import allocate, clip_places, open_part, read_table, refuse_nan
from schemas import (
    Event,
    StoreManifest,
    UsageError,
    Vocabulary,
    read_store_manifest,
    second_grid,
    tensor_shape,
    tensor_values,
)
from schemas.features import extractor_of
from schemas.manifests import read_events

SPLITS = {"balanced_train": "train", "unbalanced_train": "train", "eval": "test"}
"""AudioSet's own names of what is trained and tested on."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipData:
    """All clips of a store, N in all, in the order of its table `clips`."""

    manifest: StoreManifest
    """The store's manifest."""
    keys: tuple[str, ...]
    """Clip keys."""
    splits: NDArray[np.str_]
    """[N] `train`, `val`, `test` or empty."""
    vocabulary: Vocabulary
    """Class names in order."""
    seconds: int
    """T."""
    features: dict[str, Tensor]
    """Feature name to float32 [N, T, *shape], a table of instances to [N, P, width]; zero where
    absent."""
    present: dict[str, Tensor]
    """Feature name to bool [N, T] or [N, P]."""
    labels: Tensor
    """float32 [N, C] of zeros and ones."""
    truth: dict[str, NDArray[np.bool_]]
    """`audio` and `visual` to dense truth bool [N, T, C]; false outside `dense_splits`."""
    dense_splits: frozenset[str]
    """Splits with dense truth."""
    dropped: dict[str, Tensor] | None = None
    """`audio` and `visual` to bool [N, C]: labels that a method has found not to hold."""

    def rows(self, split: str) -> Tensor:
        """Indices of a split's clips; `UsageError` when it has none."""
        found = np.flatnonzero(self.splits == split)
        if not len(found):
            names, counts = np.unique(self.splits, return_counts=True)
            held = ", ".join(
                f"{name or '(none)'} {n}" for name, n in zip(names, counts, strict=True)
            )
            raise UsageError(
                f"{self.manifest.root} has no clip of split {split!r}; it has {held or 'no clip'}"
            )
        return torch.from_numpy(found)

    def has(self, split: str) -> bool:
        """Whether the split has a clip."""
        return bool((self.splits == split).any())

    def sample(self, split: str, clips: int) -> Tensor:
        """Some of a split's clips, drawn without repetition and always the same ones."""
        return shuffled(self.rows(split), 0, 0)[:clips]

    def shape(self, feature: str) -> tuple[int, ...]:
        """Shape of a feature in one second."""
        return tuple(self.features[feature].shape[2:])

    def order(self, config: TrainConfig, epoch: int) -> Tensor:
        """Training clips in the order of one epoch."""
        rows = self.rows("train")
        if getattr(config, "balanced", False):
            rows = balanced(rows, self.labels[rows], config.seed, epoch)
        return shuffled(rows, config.seed, epoch)

    def load(self, chunks: Sequence[Tensor]) -> Iterator[Batch]:
        """Batches of the clips of each chunk."""
        return (self.batch(rows) for rows in chunks)

    def batch(self, rows: Tensor, progress: float = 0.0) -> Batch:
        """Some clips as a batch."""
        dropped = self.dropped or {}
        return Batch(
            features={name: values[rows] for name, values in self.features.items()},
            present={name: values[rows] for name, values in self.present.items()},
            labels=self.labels[rows],
            dropped_audio=dropped["audio"][rows] if dropped else None,
            dropped_visual=dropped["visual"][rows] if dropped else None,
            progress=progress,
        )

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Clips in the order given, `size` at a time, the last batch may be smaller."""
        for first in range(0, len(rows), size):
            yield self.batch(rows[first : first + size])

    def without(self, audio: Tensor, visual: Tensor) -> "ClipData":
        """The same clips with labels dropped for a modality, bool [N, C] each."""
        place = self.labels.device
        return replace(self, dropped={"audio": audio.to(place), "visual": visual.to(place)})

    def to(self, device: torch.device) -> "ClipData":
        """The same clips with their tensors on a device."""
        if device.type == "cpu":
            return self
        return replace(
            self,
            features={name: values.to(device) for name, values in self.features.items()},
            present={name: values.to(device) for name, values in self.present.items()},
            labels=self.labels.to(device),
        )


def shuffled(rows: Tensor, seed: int, epoch: int) -> Tensor:
    """Rows in the order of one epoch; the same seed and epoch give the same order."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return rows[torch.randperm(len(rows), generator=generator)]


def balanced(rows: Tensor, labels: Tensor, seed: int, epoch: int, most: float = 20.0) -> Tensor:
    """Clips [n] drawn so that each class comes up about equally often; about as many as before.

    A clip counts as the rarest of its labels [n, C]: one over that class's clips, and at most
    `most` times in an epoch. The part of a count behind the point is drawn anew each epoch.
    """
    per_class = labels.sum(dim=0).clamp_min(1.0).reciprocal()
    blocks = labels.split(65_536)  # type: ignore[no-untyped-call]
    weight = torch.cat([(block * per_class).amax(dim=1) for block in blocks])
    copies = (weight / weight.mean().clamp_min(1e-12)).clamp_max(most)
    generator = torch.Generator().manual_seed(seed * 1_000_003 - epoch)
    lot = torch.rand(len(rows), generator=generator)
    return rows.repeat_interleave((copies.cpu() + lot).floor().long())


def open_clips(
    root: Path,
    needs: Sequence[str],
    annotations: Path | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> ClipData:
    """Read the clips of the store at `root` with the features `needs`.

    These are columns of the table `snippets`, or names of tables of instances
    (`models.data.bags.BAGS`).

    `classes` names the classes for clips that a trained model shall look at: their store needs none
    of its own, and a clip may lack any feature. Dense truth comes from the store's table `events`,
    or from the original annotation files in `annotations`. `UsageError` when `root` is no store,
    lacks a feature, holds a value that is not finite or a label outside the vocabulary, or when no
    annotated event belongs to a clip.
    """
    manifest = read_store_manifest(root)
    vocabulary = Vocabulary(manifest.vocabulary if classes is None else tuple(classes))
    if not len(vocabulary):
        raise UsageError(f"{root} has no class names, so nothing to learn; its clips need labels")
    clips = read_table(manifest, "clips", ["clip_key", "split", "labels", "n_snippets"])
    keys = tuple(clips["clip_key"].to_pylist())
    if not keys:
        raise UsageError(f"{root} holds no clip; its failures say why, `beam validate` lists them")
    seconds = int(manifest.data.get("n_seconds") or pc.max(clips["n_snippets"]).as_py())
    columns = [name for name in needs if name not in BAGS]
    features, present = _features(manifest, columns, keys, seconds)
    for table in (name for name in needs if name in BAGS):
        features[table], present[table] = read_bags(manifest, table, keys)
    if classes is None:
        _refuse_absent(manifest, present)
    splits = np.array([SPLITS.get(name, name or "") for name in clips["split"].to_pylist()])
    truth, dense = _truth(manifest, annotations, keys, splits, vocabulary, seconds)
    return ClipData(
        manifest=manifest,
        keys=keys,
        splits=splits,
        vocabulary=vocabulary,
        seconds=seconds,
        features=features,
        present=present,
        labels=torch.from_numpy(_multi_hot(root, keys, clips["labels"].to_pylist(), vocabulary)),
        truth=truth,
        dense_splits=dense,
    )


def _multi_hot(
    root: Path, keys: Sequence[str], labels: Sequence[Sequence[str] | None], vocabulary: Vocabulary
) -> NDArray[np.float32]:
    try:
        return vocabulary.multi_hot(labels).astype(np.float32)
    except LookupError as error:
        known = set(vocabulary.names)
        clip = next(
            key for key, names in zip(keys, labels, strict=True) if set(names or ()) - known
        )
        raise UsageError(
            f"clip {clip} of {root} has a label outside the store's vocabulary ({error}); "
            "make the features again with the annotation files of its data set"
        ) from None


def _features(
    manifest: StoreManifest, needs: Sequence[str], keys: Sequence[str], seconds: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Feature name to [N, T, width] and to presence [N, T], filled part by part."""
    arrays: dict[str, NDArray[np.float32]] = {}
    present = {name: np.zeros((len(keys), seconds), np.bool_) for name in needs}
    order = pa.array(keys)
    for path in manifest.paths("snippets"):
        part = open_part(path)
        lacking = [name for name in needs if name not in part.schema_arrow.names]
        if lacking:
            raise UsageError(_lacks(manifest, lacking[0], part.schema_arrow.names))
        for rows in part.iter_batches(1024, columns=["clip_key", "snippet_index", *needs]):
            clip = clip_places(path, rows["clip_key"], order)
            second = rows["snippet_index"].to_numpy()
            inside = second < seconds
            place = clip[inside], second[inside]
            for name in needs:
                values, there = feature_column(name, rows[name], part.schema_arrow.field(name))
                if name not in arrays:
                    shape = (len(keys), seconds, *values.shape[1:])
                    arrays[name] = allocate(shape, len(needs))
                arrays[name][place], present[name][place] = values[inside], there[inside]
    pa.default_memory_pool().release_unused()  # Arrow keeps what the parts were decoded in
    for name in needs:
        refuse_nan(manifest, name, arrays[name], keys)
    return (
        {name: torch.from_numpy(arrays[name]) for name in needs},
        {name: torch.from_numpy(present[name]) for name in needs},
    )


def feature_column(
    name: str, column: pa.Array, field: pa.Field
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One feature column of a record batch: [R, *shape], zero where absent, and presence [R].

    ResNet-152 frames that were stored one by one, [R, 8, width], are averaged.
    """
    values, present = tensor_values(column, tensor_shape(field) or ())
    frames = name == "resnet152" and values.ndim == 3
    return (values.mean(axis=1) if frames else values), present


def _refuse_absent(manifest: StoreManifest, present: Mapping[str, Tensor]) -> None:
    """Raise `UsageError` for a feature that no clip has."""
    for name, there in present.items():
        if not there.any():
            has = [one for one in present if present[one].any()]
            raise UsageError(_lacks(manifest, name, has))


def _lacks(manifest: StoreManifest, name: str, has: Iterable[str]) -> str:
    known = sorted(set(has) - {"clip_key", "snippet_index", "start_s", "valid"})
    return (
        f"{manifest.root} has no feature {name!r} in any clip (it has "
        f"{', '.join(known) or 'none'}); run the features job again with extractor "
        f"{extractor_of(name)}"
    )


def _truth(
    manifest: StoreManifest,
    annotations: Path | None,
    keys: Sequence[str],
    splits: NDArray[np.str_],
    vocabulary: Vocabulary,
    seconds: int,
) -> tuple[dict[str, NDArray[np.bool_]], frozenset[str]]:
    events = _events(manifest, annotations)
    split_of = dict(zip(keys, splits.tolist(), strict=True))
    dense = frozenset(split_of[one.clip_key] for one in events if one.clip_key in split_of)
    if annotations is not None and not dense:
        example = events[0].clip_key if events else "none"
        raise UsageError(
            f"no event in {annotations} belongs to a clip of {manifest.root} (data set "
            f"{manifest.dataset}, first clip {keys[0]}, first annotated clip {example}); "
            "give the annotation files of the same data set"
        )
    try:
        grids = {
            "audio": second_grid(events, keys, vocabulary, "audio", seconds),
            "visual": second_grid(events, keys, vocabulary, "visual", seconds),
        }
    except LookupError as error:
        raise UsageError(f"an event of {annotations or manifest.root} has an {error}") from None
    return grids, dense


def _events(manifest: StoreManifest, annotations: Path | None) -> list[Event]:
    if annotations is not None:
        return list(read_events(manifest.dataset, annotations))
    columns = ["clip_key", "modality", "onset_s", "offset_s", "label"]
    return [Event(**row) for row in read_table(manifest, "events", columns).to_pylist()]
