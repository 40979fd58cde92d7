"""Answers of a run about media files: one CSV, written whole after every batch, figures after it.

Letters: C classes, S segments.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.applications import event_detection as detection
from models.applications.clip_tags import lacking, tag_clips, timeline_of
from models.applications.event_figures import save_predictions, save_timeline
from models.applications.media_files import shortened
from models.applications.new_media import Run
from models.contract.shown_clip import MOST_CLIPS, MOST_ROWS, ShownClip, surest_rows
from models.data.clips import ClipData, in_memory
from models.data.pixels import PixelClips
from models.runtime import files
from models.runtime.console import console
from models.tasks.parsing import Parsing, Predictions
from models.tasks.sound_events import Timeline
from models.tasks.tagging import Tagging, cut_values, probabilities_of
from schemas import UsageError
from schemas.messages import printable

MOST_SHOWN = 5
"""Labels of a clip that the terminal shows."""


class Answer(ABC):
    """What a run says about all files so far."""

    name: ClassVar[str]
    """File of the answer in a folder."""
    columns: ClassVar[tuple[str, ...]]
    """Columns of that file."""

    def __init__(self, run: Run, out: Path) -> None:
        """Answer into a folder, or into a file that ends in `.csv` and its folder."""
        self.run = run
        single = out.suffix.lower() == ".csv"
        self.folder = out.parent if single else out
        self.path = out if single else out / self.name
        self.lines: dict[Path, Sequence[Sequence[object]]] = {}
        self.keys: dict[Path, str] = {}
        self.shown: dict[Path, ShownClip] = {}

    def show(self, clip: ShownClip) -> None:
        """Keep what the page shows of a file: of the first `MOST_CLIPS` files."""
        if clip.path in self.shown or len(self.shown) < MOST_CLIPS:
            self.shown[clip.path] = clip

    def key(self, path: Path) -> str:
        """Return the clip key of a file: its stem, or its path where another file has the stem."""
        if path not in self.keys:
            taken = path.stem in self.keys.values()
            self.keys[path] = str(path) if taken else path.stem
        return self.keys[path]

    def figure(self, path: Path) -> Path:
        """Return the place of a file's figure."""
        number = list(self.keys).index(path)
        return self.folder / f"{number:04d}-{shortened(path.stem)}.png"

    def write(self) -> None:
        """Write the answers about all files so far."""
        rows = (row for lines in self.lines.values() for row in lines)
        files.write_csv(self.path, [self.columns, *rows])

    @abstractmethod
    def add(self, data: ClipData | PixelClips, media: Sequence[Path]) -> list[str]:
        """Add the clips of some files, write and show what there is about them.

        Return a sentence for each file about which the run can say nothing.
        """


class Events(Answer):
    """What is heard and seen when."""

    name = "events.csv"
    columns = detection.COLUMNS

    def add(self, data: ClipData | PixelClips, media: Sequence[Path]) -> list[str]:
        """Add the events of some files; a figure of each comes after the CSV."""
        data = in_memory(data)
        predictions = detection.predict_clips(self.run, data)
        screen, lengths = console(), detection.clip_seconds(data)
        for row, path in enumerate(media):
            events = detection.detect_events(predictions, data, row)
            self.lines[path] = detection.event_rows(self.key(path), events)
            screen.print(detection.events_table(path.name, events))
            self.show(shown_events(path, predictions, data, row, lengths[row], events))
        self.write()
        for row, path in enumerate(media):
            save_predictions(
                self.figure(path), path.name, predictions, data, row, lengths[row], self.run.origin
            )
        return []


class Tags(Answer):
    """Which classes each clip has, and, where the net says so, when."""

    name = "tags.csv"
    columns = ("clip_key", "label", "score", "threshold")

    def __init__(self, run: Run, out: Path, timeline: bool, calibrate: bool) -> None:
        super().__init__(run, out)
        self.timeline = timeline_of(run) if timeline else None
        self.calibrate = calibrate
        self.thresholds = self.said(cut_values(run.thresholds, len(run.classes)))
        self.over_time: dict[str, NDArray[np.float32]] = {}

    def add(self, data: ClipData | PixelClips, media: Sequence[Path]) -> list[str]:
        """Add the scores of some files, every class of each, the highest first."""
        tags = tag_clips(self.run, data)
        scores, lengths = self.said(tags.scores), detection.clip_seconds(data)
        dumb = []
        for row, path in enumerate(media):
            if not tags.readable[row]:
                dumb.append(f"{path} {lacking(self.run)}")
                continue
            self.lines[path] = self.rows(self.key(path), scores[row])
            console().print(self.line(path, scores[row]))
            if self.timeline is not None:
                self.over_time[self.key(path)] = self.said(tags.timelines[row])
            self.show(self.shown_tags(path, scores[row], lengths[row]))
        self.write()
        if self.timeline is not None:
            self.write_timelines(self.timeline, [path for path in media if path in self.lines])
        return dumb

    def said(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return scores as they are, or as the run's probabilities."""
        if not self.calibrate:
            return scores
        probabilities = probabilities_of(scores, self.run.thresholds)
        if probabilities is None:
            raise UsageError(
                f"{self.run.folder} has no calibration, which is fitted on validation clips; leave "
                "--calibrated out, or train on a store that has some"
            )
        return probabilities.astype(scores.dtype)

    def rows(self, key: str, scores: NDArray[np.float32]) -> list[list[str]]:
        """Return the lines of one clip: scores [C] and thresholds, the highest score first."""
        return [
            [key, self.run.classes[index], f"{scores[index]:.6g}", f"{self.thresholds[index]:.6g}"]
            for index in np.argsort(-scores, kind="stable")
        ]

    def shown_tags(self, path: Path, scores: NDArray[np.float32], seconds: int) -> ShownClip:
        """Return what the page shows of one clip: its highest scores, and when."""
        order = np.argsort(-scores, kind="stable")[:MOST_ROWS].tolist()
        rows, hop_s = [], 1.0
        if self.timeline is not None:
            over_time, hop_s = self.over_time[self.key(path)], self.timeline.hop_s
            rows = surest_rows(over_time, over_time >= self.thresholds, self.run.classes, "clip")
        return ShownClip(
            path=path, seconds=float(seconds), rows=rows, hop_s=hop_s,
            tags=[
                (self.run.classes[one], float(scores[one]), float(self.thresholds[one]))
                for one in order
            ],
        )  # fmt: skip

    def line(self, path: Path, scores: NDArray[np.float32]) -> str:
        """Return what the terminal shows of one clip: the labels, or the highest score."""
        order = np.argsort(-scores, kind="stable").tolist()
        over = [index for index in order if scores[index] >= self.thresholds[index]]
        shown = over[:MOST_SHOWN] or order[:1]
        words = ", ".join(f"{self.run.classes[index]} {scores[index]:.2f}" for index in shown)
        more = f" and {len(over) - MOST_SHOWN} more" if len(over) > MOST_SHOWN else ""
        return printable(f"{path.name}: {words}{more}" if over else f"{path.name}: none ({words})")

    def write_timelines(self, grid: Timeline, media: Sequence[Path]) -> None:
        """Write the scores of all segments so far, then draw those of some files."""
        path = self.folder / "timeline.parquet"
        table = timeline_table(self.over_time, grid, self.run.classes)
        files.write_whole(path, lambda place: pq.write_table(table, place, compression="zstd"))
        for one in media:
            scores = self.over_time[self.key(one)]
            decided = scores >= self.thresholds
            save_timeline(
                self.figure(one), one.name, scores, decided, self.run.classes, grid, self.run.origin
            )


def shown_events(
    path: Path, predictions: Predictions, data: ClipData, row: int, seconds: int,
    events: Sequence[detection.DetectedEvent],
) -> ShownClip:  # fmt: skip
    """Return what the page shows of one clip of a parsing run."""
    sides = (
        ("audio", predictions.audio, predictions.heard),
        ("visual", predictions.visual, predictions.seen),
    )
    rows = [
        line
        for modality, probability, decided in sides
        for line in surest_rows(
            probability[row, :seconds], decided[row, :seconds], data.vocabulary.names, modality
        )
    ]
    return ShownClip(
        path=path, seconds=float(seconds), rows=rows, events=[event.cells() for event in events]
    )


def timeline_table(
    scores: Mapping[str, NDArray[np.float32]], grid: Timeline, classes: Sequence[str]
) -> pa.Table:
    """Return one row per clip and segment: clip_key, start_s, end_s, scores [C].

    `scores` maps a clip key to [S, C]; the class names are in the metadata, in order. Bytes of a
    key that are not UTF-8 stand as escapes, as in the CSV.
    """
    keys = [key.encode("utf-8", "backslashreplace").decode() for key in scores]
    index = np.concatenate([np.arange(len(one)) for one in scores.values()] or [np.arange(0)])
    flat = np.concatenate([one.ravel() for one in scores.values()] or [np.zeros(0, np.float32)])
    columns: dict[str, Any] = {
        "clip_key": [
            key for key, one in zip(keys, scores.values(), strict=True) for _ in range(len(one))
        ],
        "start_s": index * grid.hop_s,
        "end_s": index * grid.hop_s + grid.window_s,
        "scores": pa.FixedSizeListArray.from_arrays(flat, len(classes)),
    }
    return pa.table(columns).replace_schema_metadata({"classes": json.dumps(list(classes))})


def answer_of(run: Run, out: Path, timeline: str, calibrate: bool) -> Answer:
    """Return the answer that a run's task gives; `timeline` is `auto`, `yes` or `no`.

    `UsageError` when the net cannot say when, or has no calibration that is asked for.
    """
    task = run.card.task
    if isinstance(task, Parsing):
        return Events(run, out)
    if not isinstance(task, Tagging):
        raise UsageError(
            f"{run.folder} is a run of {run.card.name}, whose task is {task.name}; predict takes "
            "runs that parse or tag"
        )
    if timeline == "yes" and timeline_of(run) is None:
        raise UsageError(
            f"{run.folder} is a run of {run.card.name}, which scores whole clips and has no "
            "seconds; leave --timeline out, or train one that has (fayek_audio, audio_resnet50, "
            "cvssp, two_stream, or han for parsing)"
        )
    return Tags(run, out, timeline != "no", calibrate)
