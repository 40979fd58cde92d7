"""Clips of which a net reads what other nets say: their scores, in memory or in a temporary file.

Letters: N clips, C classes, n clips of a batch.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.batch import Batch
from models.data.source import ClipSource

HELD_BYTES = 2**30
"""Bytes from which on the scores of a net lie in a temporary file."""
AT_ONCE = 2**14
"""Clips whose scores are read, written or looked at together."""


class ScoreTable:
    """Scores float32 [N, C] of all clips, by number; zero until they are written.

    A large table lies in a temporary file without a name. Its rows are read one by one and not
    mapped, so that they never count as this process's memory: what is read again comes from the
    system's page cache.
    """

    def __init__(self, clips: int, classes: int) -> None:
        self.clips, self.width = clips, 4 * classes
        self._values: NDArray[np.float32] | None = None
        if clips * self.width <= HELD_BYTES:
            self._values = np.zeros((clips, classes), np.float32)
            return
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as this
        self._file.truncate(clips * self.width)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the scores of some clips, [n, C]."""
        if self._values is not None:
            return self._values[rows]
        scores = np.empty((len(rows), self.width // 4), np.float32)
        for first, last in _runs(rows):
            view = scores[first:last].data.cast("B")
            if os.preadv(self._file.fileno(), [view], int(rows[first]) * self.width) < len(view):
                raise OSError("the temporary file of the scores is shorter than it was made")
        return scores

    def write(self, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Set the scores [n, C] of some clips."""
        if self._values is not None:
            self._values[rows] = scores
            return
        held = np.ascontiguousarray(scores, np.float32)
        for first, last in _runs(rows):
            view = held[first:last].data.cast("B")
            os.pwritev(self._file.fileno(), [view], int(rows[first]) * self.width)


def _runs(rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield where runs of consecutive numbers begin and end."""
    edges = (np.flatnonzero(np.diff(rows) != 1) + 1).tolist()
    ends = [*edges, len(rows)]
    return ((first, last) for first, last in zip([0, *edges], ends, strict=True) if last > first)


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredClips(ClipSource):
    """All clips of a store with the scores of some nets as their features."""

    scores: Mapping[str, ScoreTable]
    """What each net says, by the name of the feature that it becomes."""
    there: Mapping[str, NDArray[np.bool_]]
    """[N] which clips a net could look at."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where batches go."""

    def shape(self, feature: str) -> tuple[int, ...]:
        """Return the shape of a feature: one score per class."""
        return (len(self.vocabulary),)

    def batch(self, rows: Tensor, progress: float = 0.0) -> Batch:
        """Return some clips as a batch: scores [n, 1, C] and presence [n, 1] by name."""
        numbers = rows.cpu().numpy()
        features = {name: torch.from_numpy(own.read(numbers)) for name, own in self.scores.items()}
        present = {name: torch.from_numpy(own[numbers]) for name, own in self.there.items()}
        return Batch(
            features={name: own[:, None].to(self.device) for name, own in features.items()},
            present={name: own[:, None].to(self.device) for name, own in present.items()},
            labels=self.labels[rows].float().to(self.device),
            quality=self.quality,
            progress=progress,
        )

    def seen(self, name: str, split: str) -> Iterator[NDArray[np.float32]]:
        """Yield the scores [n, C] of a split's clips that a net could look at, some at a time."""
        rows = self.rows(split).numpy()
        rows = rows[self.there[name][rows]]
        for first in range(0, len(rows), AT_ONCE):
            yield self.scores[name].read(rows[first : first + AT_ONCE])

    def to(self, device: torch.device) -> "ScoredClips":
        """Return the same clips with their batches on a device."""
        quality = None if self.quality is None else self.quality.to(device)
        return replace(self, device=device, quality=quality)
