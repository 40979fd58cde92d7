"""Events of media: the unbroken runs of seconds in which a parsing run decides on a class.

Letters: N clips, T seconds, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from models.applications.new_media import Run
from models.data.clips import ClipData
from models.data.parquet import read_table
from models.data.source import ClipTable
from models.tasks.parsing import Predictions
from schemas import FEATURES, SNIPPETS, Event
from schemas.messages import printable

PER_CLIP = ("clip", "audio", "visual", "heard", "seen")
"""Arrays of `Predictions` with one entry per clip."""
COLUMNS = ("clip_key", "onset", "offset", "modality", "label", "score")
"""Columns of events.csv."""


@dataclass(frozen=True)
class DetectedEvent:
    """An event that the model detects, with its mean probability."""

    event: Event
    probability: float

    def cells(self) -> list[str]:
        """Return onset, offset, modality, label and probability as text."""
        event = self.event
        times = (f"{event.onset_s:g}", f"{event.offset_s:g}")
        return [*times, event.modality, event.label, f"{self.probability:.3f}"]


def predict_clips(run: Run, data: ClipData) -> Predictions:
    """Return the predictions of the run's model for all clips.

    A modality is never decided on in a second in which a feature of it is absent.

    Each clip is predicted alone in its own length, so that its events do not depend on the clips
    beside it.
    """
    parts = []
    for row, seconds in enumerate(clip_seconds(data)):
        single = single_clip(data, row, seconds)
        part = run.card.task.predict(run.model, single, torch.tensor([0]), run.config)
        parts.append(padded(part, data.seconds))
    predictions = Predictions(
        rows=torch.arange(len(data.keys)),
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in PER_CLIP},
    )
    decided = {"audio": predictions.heard, "visual": predictions.seen}
    for name in data.present.keys() & FEATURES.keys():
        feature = FEATURES[name]
        if feature.table == SNIPPETS:
            decided[feature.modality] &= data.present[name].numpy()[:, :, None]
    return predictions


def clip_seconds(data: ClipTable) -> list[int]:
    """Return the length of each clip on the second grid, [N]."""
    rows = read_table(data.manifest, "clips", ["clip_key", "n_snippets"]).to_pylist()
    seconds = {row["clip_key"]: int(row["n_snippets"]) for row in rows}
    return [seconds[key] for key in data.keys]


def single_clip(data: ClipData, row: int, seconds: int) -> ClipData:
    """Return one clip of `data`, without the seconds behind its end."""
    rows = slice(row, row + 1)
    return replace(
        data,
        keys=data.keys[rows],
        seconds=seconds,
        features={name: values[rows, :seconds] for name, values in data.features.items()},
        present={name: values[rows, :seconds] for name, values in data.present.items()},
        labels=data.labels[rows],
    )


def padded(predictions: Predictions, seconds: int) -> Predictions:
    """Return the predictions with zeros in the seconds behind the end, `seconds` in all."""
    width = ((0, 0), (0, seconds - predictions.audio.shape[1]), (0, 0))
    longer: dict[str, Any] = {
        name: np.pad(getattr(predictions, name), width) for name in PER_CLIP if name != "clip"
    }
    return replace(predictions, **longer)


def detect_events(predictions: Predictions, data: ClipData, row: int) -> list[DetectedEvent]:
    """Return the events of one clip, by modality and onset."""
    events = []
    sides = (
        ("audio", predictions.heard, predictions.audio),
        ("visual", predictions.seen, predictions.visual),
    )
    for modality, decided, probability in sides:
        for column, label in enumerate(data.vocabulary.names):
            for onset, offset in true_runs(decided[row, :, column]):
                mean = float(probability[row, onset:offset, column].mean())
                event = Event(data.keys[row], modality, onset, offset, label)  # type: ignore[arg-type]
                events.append(DetectedEvent(event, mean))
    return sorted(events, key=lambda detected: (detected.event.modality, detected.event.onset_s))


def true_runs(decided: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the unbroken runs of true seconds [T] as (first, one after the last).

    >>> true_runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], decided.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def event_rows(key: str, events: Sequence[DetectedEvent]) -> list[list[str]]:
    """Return the lines of events.csv for one clip, one per event."""
    return [[key, *event.cells()] for event in events]


def events_table(name: str, events: Sequence[DetectedEvent]) -> Table:
    """Return the events of one media file as a table for the terminal."""
    title = printable(name if events else f"{name}: no event found")
    table = Table(
        "onset s", "offset s", "modality", "label", "score", title=title,
        title_justify="left",
    )  # fmt: skip
    for event in events:
        table.add_row(*map(printable, event.cells()))
    return table
