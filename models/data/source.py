"""What a training reads: the facts of a store's clips in memory, their features batch by batch.

Letters: N clips, C classes, T seconds, B clips of a batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.batch import Batch
from models.contract.config import TrainConfig
from models.contract.report import origin
from models.data.integrity import refuse_edited
from models.data.parquet import read_table
from models.data.sampling import epoch_order, shuffled
from schemas import Event, StoreManifest, UsageError, Vocabulary, read_store_manifest
from schemas.manifests.llp import FIRST

SPLITS = {"balanced_train": "train", "unbalanced_train": "train", "eval": "test"}
"""AudioSet's own names of what is trained and tested on."""

_HOW_TO_SPLIT = (
    "; a clip of one's own has the split that its folder (train/dog/a.wav) or labels.csv names"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipTable:
    """Facts of all clips of a store, N in all, in the order of its table `clips`."""

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
    labels: Tensor
    """[N, C] weak labels, bool or float of zeros and ones."""

    @property
    def origin(self) -> str:
        """Data set, weights and subset in words, for titles of figures."""
        return origin({**self.manifest.data, "subset_id": self.manifest.subset_id})


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipSource(ClipTable, ABC):
    """Clips of a store whose features come in batches; in memory or streamed from disk."""

    truth: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """`audio` and `visual` to dense truth bool [N, T, C], false outside `dense_splits`; empty
    where there is none."""
    dense_splits: frozenset[str] = frozenset()
    """Splits with dense truth."""
    truth_edition: str = ""
    """Edition of the files that the dense truth comes from, of data sets that have several."""
    sound_events: tuple[Event, ...] = ()
    """Events of the audio of these splits, with their exact times."""
    pseudo_labels: Mapping[str, Tensor] = field(default_factory=dict)
    """`audio` and `visual` to scores of every second by another model, float [N, T, C]; empty
    unless the net trains on them."""
    dropped: dict[str, Tensor] | None = None
    """`audio` and `visual` to bool [N, C]: labels that a method has found not to hold."""
    quality: Tensor | None = None
    """float [C]: the share of each class's labels that hold; None where nothing is known."""

    @property
    def scored_subset(self) -> str:
        """Hash of the clips, with the edition of their truth where it is not the current one."""
        subset = self.manifest.subset_id
        return f"{subset}-{self.truth_edition}-truth" if self.truth_edition == FIRST else subset

    @abstractmethod
    def shape(self, feature: str) -> tuple[int, ...]:
        """Return the shape of a feature in one second."""

    def sample(self, split: str, clips: int) -> Tensor:
        """Return about `clips` clips of a split, always the same ones."""
        return shuffled(self.rows(split), 0, 0)[:clips]

    def order(self, config: TrainConfig, epoch: int) -> Tensor:
        """Return the training clips in the order of one epoch."""
        return epoch_order(self.rows("train"), self.labels, config, epoch)

    @abstractmethod
    def batch(self, rows: Tensor, progress: float = 0.0) -> Batch:
        """Return some clips as a batch."""

    @abstractmethod
    def to(self, device: torch.device) -> Self:
        """Return the same clips with their batches on a device."""

    def load(self, chunks: Sequence[Tensor], epoch: int = 0) -> Iterator[Batch]:
        """Yield the clips of each chunk as a batch of training; what is drawn follows the epoch."""
        return (self.batch(rows) for rows in chunks)

    def batches(self, rows: Tensor, size: int) -> Iterator[Batch]:
        """Yield clips in the order given, `size` at a time; the last batch may be smaller."""
        return self.load([rows[first : first + size] for first in range(0, len(rows), size)])

    def rows(self, split: str) -> Tensor:
        """Return the indices of a split's clips; `UsageError` when it has none."""
        rows = np.flatnonzero(self.splits == split)
        if not len(rows):
            names, counts = np.unique(self.splits, return_counts=True)
            held = ", ".join(
                f"{name or '(none)'} {n}" for name, n in zip(names, counts, strict=True)
            )
            raise UsageError(
                f"{self.manifest.root} has no clip of split {split!r}; it has {held or 'no clip'}"
                + _HOW_TO_SPLIT * (self.manifest.dataset == "folder" and "" in names)
            )
        return torch.from_numpy(rows)

    def has(self, split: str) -> bool:
        """Return whether the split has a clip."""
        return bool((self.splits == split).any())

    def without(self, audio: Tensor, visual: Tensor) -> Self:
        """Return the same clips with labels dropped for a modality, bool [N, C] each."""
        device = self.labels.device
        return replace(self, dropped={"audio": audio.to(device), "visual": visual.to(device)})

    def pseudo_labels_of(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the pseudo labels of some clips by modality, [B, T, C] each."""
        return {modality: scores[rows] for modality, scores in self.pseudo_labels.items()}

    def dropped_labels(self, modality: str, rows: Tensor) -> Tensor | None:
        """Return the labels of some clips that are dropped for a modality, bool [B, C]."""
        return None if self.dropped is None else self.dropped[modality][rows]


def read_clip_table(root: Path, classes: Sequence[str] | None = None) -> ClipTable:
    """Read the facts of the clips of the store at `root`; labels are bool.

    `classes` names the classes of clips whose store has none of its own. `UsageError` when `root`
    is no store, has no clip or no classes, or a clip has a label outside the vocabulary.
    """
    manifest = read_store_manifest(root)
    vocabulary = Vocabulary(manifest.vocabulary if classes is None else tuple(classes))
    if not len(vocabulary):
        raise UsageError(f"{root} has no class names, so nothing to learn; its clips need labels")
    clips = read_table(manifest, "clips", ["clip_key", "split", "labels", "n_snippets"])
    keys = tuple(clips["clip_key"].to_pylist())
    if not keys:
        raise UsageError(f"{root} holds no clip; its failures say why, `beam validate` lists them")
    refuse_edited(manifest, keys)
    try:
        labels = vocabulary.multi_hot(clips["labels"].combine_chunks())
    except LookupError as error:
        known = set(vocabulary.names)
        rows = zip(keys, clips["labels"].to_pylist(), strict=True)
        clip = next(key for key, names in rows if set(names or ()) - known)
        raise UsageError(
            f"clip {clip} of {root} has a label outside the store's vocabulary ({error}); "
            "make the features again with the annotation files of its data set"
        ) from None
    return ClipTable(
        manifest=manifest,
        keys=keys,
        splits=np.array([SPLITS.get(name, name or "") for name in clips["split"].to_pylist()]),
        vocabulary=vocabulary,
        seconds=int(pc.max(clips["n_snippets"]).as_py()),
        labels=torch.from_numpy(labels),
    )
