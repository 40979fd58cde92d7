"""Where and when: which boxes and which stretches of sound a class's score comes from.

Paper: Parekh et al., "Weakly Supervised Representation Learning for Unsynchronized Audio-Visual
    Events", 2018, figures 2 and 3. It shows pictures and gives no measure; the measures here are
    ours, on clips whose truth is known.

Letters: P boxes, S stretches of sound, T seconds, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from models.applications.new_media import Run
from models.data.clips import ClipData
from models.data.parquet import read_table

WINDOW_S = 0.96
"""Length of a stretch of sound, in seconds."""
OVERLAP = 0.5
"""Intersection over union from which on a box counts as found."""

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Located:
    """Scores of the boxes and stretches of sound of one clip, for every class."""

    clip: Values
    """Score of the clip, [C]."""
    boxes: Values
    """x0, y0, x1, y1 as shares of the frame, [P, 4]; P is 0 without picture."""
    box_seconds: NDArray[np.int64]
    """Second that each box is of, [P]."""
    box_scores: Values
    """[P, C]."""
    sound_starts: NDArray[np.float64]
    """Where each stretch of sound begins, in seconds, [S]; S is 0 without sound."""
    sound_scores: Values
    """[S, C]."""
    seconds: int
    """T."""


class Locator:
    """A run that looks at the clips of a store, one at a time."""

    def __init__(self, run: Run, data: ClipData) -> None:
        self.run, self.data = run, data
        columns = {
            "proposals": ["clip_key", "snippet_index", "x0", "y0", "x1", "y1"],
            "segments": ["clip_key", "start_s"],
        }
        self.tables: dict[str, pa.Table] = {
            name: read_table(data.manifest, name, columns[name])  # type: ignore[arg-type]
            for name in columns
            if name in run.needs
        }

    @torch.no_grad()
    def locate(self, row: int) -> Located:
        """Score everything of one clip; tables that the model does not read give nothing."""
        outputs = self.run.model(self.data.batch(torch.tensor([row])))
        boxes, starts = self._rows("proposals", row), self._rows("segments", row)
        classes = len(self.run.classes)
        scores = {
            name: outputs.extra[name][0, : len(rows)].numpy() if name in self.tables else
            np.zeros((0, classes), np.float32)
            for name, rows in (("proposals", boxes), ("segments", starts))
        }  # fmt: skip
        return Located(
            clip=outputs.clip[0].numpy(),
            boxes=np.array([list(one.values())[2:] for one in boxes], np.float32).reshape(-1, 4),
            box_seconds=np.array([one["snippet_index"] for one in boxes], np.int64),
            box_scores=scores["proposals"],
            sound_starts=np.array([one["start_s"] for one in starts], np.float64),
            sound_scores=scores["segments"],
            seconds=self.data.seconds,
        )

    def _rows(self, table: str, row: int) -> list[dict[str, float]]:
        if table not in self.tables:
            return []
        own: pa.Table = self.tables[table].filter(pc.field("clip_key") == self.data.keys[row])
        found: list[dict[str, float]] = own.to_pylist()
        return found


def scaled(scores: Values) -> Values:
    """Scores along the first axis scaled to 0..1 for each class; zeros where all are equal."""
    if not len(scores):
        return scores
    low, high = scores.min(axis=0), scores.max(axis=0)
    return np.where(high > low, (scores - low) / np.maximum(high - low, 1e-12), 0.0)


def by_second(located: Located) -> Values:
    """Scaled score of every second of the sound, [T, C]: the best stretch whose middle is in it.

    A second in which no stretch has its middle takes the last one before it.
    """
    found = np.zeros((located.seconds, located.sound_scores.shape[1]), np.float32)
    values, middle = scaled(located.sound_scores), located.sound_starts + WINDOW_S / 2
    for second in range(located.seconds if len(values) else 0):
        inside = (middle >= second) & (middle < second + 1)
        before = max(0, int((middle < second + 1).sum()) - 1)
        found[second] = values[inside].max(axis=0) if inside.any() else values[before]
    return found


def overlap(boxes: Values, truth: Values) -> Values:
    """Intersection over union of boxes [P, 4] with true boxes [Q, 4], [P, Q]."""
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    union = area(boxes)[:, None] + area(truth)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float32)


def area(boxes: Values) -> Values:
    """Share of the frame that each box covers, [P]."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None)
    return np.asarray(sides.prod(axis=1), np.float32)


def hits(
    boxes: Values, seconds: NDArray[np.int64], truth: Mapping[int, Values]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the middle of a box lies in a true box of its second, and whether they overlap, [P].

    `truth` maps a second to the true boxes [Q, 4] of the class in it; a box of any other second
    hits nothing.
    """
    pointed, found = np.zeros(len(boxes), np.bool_), np.zeros(len(boxes), np.bool_)
    for second, true in truth.items():
        rows = np.flatnonzero(seconds == second)
        middle = (boxes[rows, :2] + boxes[rows, 2:]) / 2
        inside = (middle[:, None] >= true[None, :, :2]) & (middle[:, None] <= true[None, :, 2:])
        pointed[rows] = (inside.sum(axis=2) == 2).max(axis=1)
        found[rows] = overlap(boxes[rows], true).max(axis=1) >= OVERLAP
    return pointed, found
