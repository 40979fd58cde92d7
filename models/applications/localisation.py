"""Where and when: which boxes and which audio segments the score of a class comes from.

Paper: Parekh et al., "Weakly Supervised Representation Learning for Unsynchronized Audio-Visual
    Events", 2018, figures 2 and 3. It shows figures and gives no measure; the measures here are
    ours, on clips whose truth is known.

Letters: P boxes, S audio segments, T seconds, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from rich.table import Table

from models.applications.new_media import Run
from models.contract.task import Modality
from models.data.clips import ClipData
from models.data.parquet import read_table
from schemas import UsageError
from schemas.features import BOX_EDGES, SEGMENT_S
from schemas.messages import printable

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class InstanceScores:
    """Scores of the boxes and audio segments of one clip, for every class."""

    clip: Values
    """Score of the clip, [C]."""
    boxes: Values
    """x0, y0, x1, y1 as shares of the frame, [P, 4]; P is 0 without video."""
    box_seconds: NDArray[np.int64]
    """Second that each box is of, [P]."""
    box_scores: Values
    """[P, C]."""
    segment_starts: NDArray[np.float64]
    """Start of each audio segment, in seconds, [S]; S is 0 without audio."""
    segment_scores: Values
    """[S, C]."""
    seconds: int
    """T."""

    def refuse_empty(self, media: Path, run: Run) -> None:
        """Raise `UsageError` when the clip has nothing that the run scores."""
        if not len(self.boxes) and not len(self.segment_starts):
            raise UsageError(
                f"{media} has neither video nor audio of the kind that {run.folder} scores "
                f"({' and '.join(run.needs)})"
            )


class Locator:
    """A run that scores the instances of the clips of a store, one clip at a time.

    With `box_voting` the boxes of a second vote for each other (`voted`).
    """

    def __init__(self, run: Run, data: ClipData, box_voting: bool = False) -> None:
        self.run, self.data, self.box_voting = run, data, box_voting
        columns = {
            "proposals": ["clip_key", "snippet_index", *BOX_EDGES],
            "segments": ["clip_key", "start_s"],
        }
        self.tables: dict[str, pa.Table] = {
            name: read_table(data.manifest, name, columns[name])
            for name in columns
            if name in run.needs
        }

    @torch.no_grad()
    def locate(self, row: int) -> InstanceScores:
        """Score the instances of one clip; tables that the model does not read give none."""
        outputs = self.run.model(self.data.batch(torch.tensor([row])))
        boxes, segments = self._rows("proposals", row), self._rows("segments", row)
        classes = len(self.run.classes)
        scores = {
            name: outputs.extra[name][0, : len(rows)].numpy() if name in self.tables else
            np.zeros((0, classes), np.float32)
            for name, rows in (("proposals", boxes), ("segments", segments))
        }  # fmt: skip
        edges = np.array([[box[edge] for edge in BOX_EDGES] for box in boxes], np.float32)
        edges, second = edges.reshape(-1, 4), np.array([box["snippet_index"] for box in boxes])
        box_scores = scores["proposals"]
        return InstanceScores(
            clip=outputs.clip[0].numpy(),
            boxes=edges,
            box_seconds=second.astype(np.int64),
            box_scores=voted(edges, second, box_scores) if self.box_voting else box_scores,
            segment_starts=np.array([segment["start_s"] for segment in segments], np.float64),
            segment_scores=scores["segments"],
            seconds=self.data.seconds,
        )

    def _rows(self, table: str, row: int) -> list[dict[str, float]]:
        if table not in self.tables:
            return []
        own: pa.Table = self.tables[table].filter(pc.field("clip_key") == self.data.keys[row])
        rows: list[dict[str, float]] = own.to_pylist()
        return rows


def refuse_other_models(run: Run) -> None:
    """Raise `UsageError` for a run whose model scores no instances."""
    if not {"proposals", "segments"} & set(run.needs):
        raise UsageError(f"{run.folder} scores neither boxes nor audio segments; take another")


def scaled(scores: Values) -> Values:
    """Scale scores along the first axis to 0..1 for each class; zeros where all are equal."""
    if not len(scores):
        return scores
    low, high = scores.min(axis=0), scores.max(axis=0)
    return np.where(high > low, (scores - low) / np.maximum(high - low, 1e-12), 0.0)


def voted(boxes: Values, seconds: NDArray[np.int64], scores: Values) -> Values:
    """Return scores [P, C] with those of all boxes of the same second, each times its overlap.

    Where many boxes agree, the object is; its parts overlap little with each other.
    """
    together = seconds[:, None] == seconds[None]
    return np.asarray((overlap(boxes, boxes) * together) @ scores, np.float32)


def by_second(instances: InstanceScores, modality: Modality = "audio") -> Values:
    """Return the scaled score of each second, [T, C]: its best box, or best segment centred in it.

    A second in which no segment is centred takes the last one before it.
    """
    per_second = np.zeros((instances.seconds, len(instances.clip)), np.float32)
    if modality == "visual":
        inside = instances.box_seconds < instances.seconds
        boxes = scaled(instances.box_scores)[inside]
        np.maximum.at(per_second, instances.box_seconds[inside], boxes)
        return per_second
    values, centre = scaled(instances.segment_scores), instances.segment_starts + SEGMENT_S / 2
    for second in range(instances.seconds if len(values) else 0):
        inside = (centre >= second) & (centre < second + 1)
        before = max(0, int((centre < second + 1).sum()) - 1)
        per_second[second] = values[inside].max(axis=0) if inside.any() else values[before]
    return per_second


def overlap(boxes: Values, truth: Values) -> Values:
    """Return the intersection over union of boxes [P, 4] with true boxes [Q, 4], [P, Q]."""
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    union = area(boxes)[:, None] + area(truth)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float32)


def area(boxes: Values) -> Values:
    """Return the share of the frame that each box covers, [P]."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None)
    return np.asarray(sides.prod(axis=1), np.float32)


def hits(
    boxes: Values, seconds: NDArray[np.int64], truth: Mapping[int, Values]
) -> tuple[NDArray[np.bool_], Values]:
    """Return whether each box points into a true box of its second, and its best overlap, [P] each.

    `truth` maps a second to the true boxes [Q, 4] of the class in it; a box of any other second
    hits nothing. A box points at what its centre lies in; overlap is intersection over union.
    """
    pointed, overlaps = np.zeros(len(boxes), np.bool_), np.zeros(len(boxes), np.float32)
    for second, true in truth.items():
        rows = np.flatnonzero(seconds == second)
        centre = (boxes[rows, :2] + boxes[rows, 2:]) / 2
        inside = (centre[:, None] >= true[None, :, :2]) & (centre[:, None] <= true[None, :, 2:])
        pointed[rows] = (inside.sum(axis=2) == 2).max(axis=1)
        overlaps[rows] = overlap(boxes[rows], true).max(axis=1)
    return pointed, overlaps


def write_instances(path: Path, instances: InstanceScores, classes: Sequence[str]) -> None:
    """Write one row per instance and class: kind, start_s, box, label, score, scaled score."""
    rows: list[dict[str, Any]] = []
    for kind, starts, scores in (
        ("box", instances.box_seconds.astype(float), instances.box_scores),
        ("sound", instances.segment_starts, instances.segment_scores),
    ):
        scaled_scores = scaled(scores)
        for index, start in enumerate(starts):
            box = instances.boxes[index].tolist() if kind == "box" else None
            for column, name in enumerate(classes):
                rows.append(
                    {"kind": kind, "start_s": float(start), "box": box, "label": name,
                     "score": float(scores[index, column]),
                     "scaled": float(scaled_scores[index, column])}
                )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")


def instance_table(run: Run, instances: InstanceScores, labels: Sequence[str]) -> Table:
    """Return one line per class: its score, its best box, its best audio segment."""
    table = Table(title="Best box and best audio segment", title_justify="left")
    for head in ("class", "score", "second of the box", "box (x0 y0 x1 y1)", "audio from, s"):
        table.add_column(head, justify="left" if head == "class" else "right")
    for label in labels:
        column = run.classes.index(label)
        cells = [printable(label), f"{instances.clip[column]:.3f}", "", "", ""]
        if len(instances.boxes):
            best = int(instances.box_scores[:, column].argmax())
            cells[2] = str(instances.box_seconds[best])
            cells[3] = " ".join(f"{edge:.2f}" for edge in instances.boxes[best])
        if len(instances.segment_starts):
            best = int(instances.segment_scores[:, column].argmax())
            cells[4] = f"{instances.segment_starts[best]:.2f}"
        table.add_row(*cells)
    return table
