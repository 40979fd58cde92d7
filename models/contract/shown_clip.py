"""What a page shows of a clip that a run has looked at: its surest classes over time.

Letters: T steps, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.contract.report import TimelineRow

MOST_CLIPS = 10
"""Clips of an answer that its page shows."""
MOST_ROWS = 10
"""Classes of a modality that a page shows."""
MOST_STEPS = 600
"""Steps of a timeline that a page shows; of more, the highest of some steps are shown as one."""


@dataclass(frozen=True, kw_only=True)
class ShownClip:
    """One media file, and what the run says of it."""

    path: Path
    """Media file."""
    seconds: float
    """Its length on the grid of the features."""
    rows: Sequence[TimelineRow]
    """Classes over time, without truth; none for a net that scores whole clips."""
    hop_s: float = 1.0
    """Seconds of a step of the rows."""
    events: Sequence[Sequence[str]] = ()
    """Onset, offset, modality, label and score of each event."""
    tags: Sequence[tuple[str, float, float]] = ()
    """Class, score and threshold, the highest score first."""


def surest_rows(
    probability: NDArray[np.float32], decided: NDArray[np.bool_], classes: Sequence[str],
    modality: str,
) -> list[TimelineRow]:  # fmt: skip
    """Return classes that are decided on anywhere in [T, C], the surest first; one at least.

    Nothing comes of a clip without steps.
    """
    if not probability.size:
        return []
    highest = probability.max(axis=0)
    order = np.argsort(-highest, kind="stable").tolist()
    found = [column for column in order if decided[:, column].any()] or order[:1]
    return [
        TimelineRow(
            label=classes[column], modality=modality, truth=None,
            predicted=decided[:, column].tolist(), probability=probability[:, column].tolist(),
        )
        for column in found[:MOST_ROWS]
    ]  # fmt: skip


def pooled_row(row: TimelineRow, steps_as_one: int) -> TimelineRow:
    """Return a row in which every `steps_as_one` steps are one: the highest, decided if any is."""
    starts = range(0, len(row.probability), steps_as_one)
    return TimelineRow(
        label=row.label, modality=row.modality, truth=None,
        predicted=[any(row.predicted[at : at + steps_as_one]) for at in starts],
        probability=[max(row.probability[at : at + steps_as_one]) for at in starts],
    )  # fmt: skip
