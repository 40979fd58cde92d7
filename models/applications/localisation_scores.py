"""How often boxes and audio segments are right, on clips whose truth is known.

The demo world says where its objects are; annotation files of data sets such as DCASE 2017 and AVE
say when a class is heard or seen.

Boxes: of every class and clip in which it is seen, the box of the highest score is taken, out of
all boxes of the clip (`clip`), or for every run of seconds in which the class is seen out of the
boxes of these seconds (`event`). It points right when its centre lies in a true box of the class in
its second, and finds the object when it overlaps one by 0.3, or by half (intersection over union);
the mean overlap is given too, and all of the top boxes class by class. Beside them stand what a box
drawn at random would reach on average, the largest box, and the best of the candidates.

Time: a class is heard (or seen) in a second when the clip has the class and the scaled score of the
second's audio segments (or boxes) reaches a threshold that is tuned on the validation clips; scored
by the segment F of parsing. The audio has the scores of sound event detection besides.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.table import Table

from models.applications.localisation import InstanceScores, Locator, Values, area, by_second, hits
from models.contract.task import Modality, Task
from models.metrics import avvp_scores
from models.tasks import tagging
from models.tasks.sound_events import SOUND_EVENT_NAMES
from models.training.tables import shown
from schemas import UsageError
from schemas.demo import BOXES_FILE, FRAME_RATE
from schemas.features import BOX_EDGES
from schemas.messages import printable

MIDDLE = FRAME_RATE // 2
"""Frame in the middle of a second."""
GRID = np.linspace(0.0, 1.0, 41)
"""Thresholds that are tried for the seconds of the audio."""

BOX_MEASURES = ("pointing", "iou30", "iou50", "iou")
"""Measures of a box: it points right, overlaps by 0.3, by 0.5, and how much it overlaps."""
TOP_BOX = tuple(f"top_{name}" for name in BOX_MEASURES)

Mask = NDArray[np.bool_]
Truth = Mapping[tuple[str, str], Mapping[int, Values]]
"""Clip key and class to the true boxes [Q, 4] of each second."""


def read_boxes(folder: Path) -> Truth:
    """Read the true boxes in the middle of every second.

    `UsageError` when the folder is no demo world.
    """
    path = folder / BOXES_FILE
    if not path.is_file():
        raise UsageError(f"{folder} has no {BOXES_FILE}; give the folder of a demo world")
    by_class: dict[tuple[str, str], dict[int, list[list[float]]]] = {}
    for row in pq.read_table(path).to_pylist():
        second, frame = divmod(row["frame_index"], FRAME_RATE)
        if frame == MIDDLE and row["visible_share"] > 0:
            box = [row[edge] for edge in BOX_EDGES]
            seconds = by_class.setdefault((row["clip_key"], row["label"]), {})
            seconds.setdefault(second, []).append(box)
    return {
        clip_class: {second: np.asarray(boxes, np.float32) for second, boxes in seconds.items()}
        for clip_class, seconds in by_class.items()
    }


def measure(locator: Locator, folder: Path, split: str) -> dict[str, Any]:
    """Measure `boxes`, `sound` and `sound_events` on a demo world, where the model scores them.

    Rates are fractions, F is in per cent. `UsageError` when the folder is another demo world.
    """
    truth = read_boxes(folder)
    data = locator.data
    rows = data.rows(split).tolist()
    if not any(data.keys[row] == key for row in rows for key, _ in truth):
        raise UsageError(f"{folder} is not the demo world of {data.manifest.root}: no clip in both")
    instances = [locator.locate(row) for row in rows]
    measures: dict[str, Any] = {"split": split, "clips": len(rows)}
    if "proposals" in locator.run.needs:
        keys = [data.keys[row] for row in rows]
        measures["boxes"] = box_rates(
            keys, instances, truth, locator.run.classes, locator.run.classes
        )
        measures["box_classes"] = box_classes(keys, instances, truth, locator.run.classes)
    return measures | measures_of_audio(locator, instances, split)


def measure_times(locator: Locator, split: str) -> dict[str, Any]:
    """Measure `sight`, `sound` and `sound_events` on annotated clips, where the model scores them.

    F is in per cent, scores of sound events are fractions. `UsageError` when nobody has annotated
    the split.
    """
    data, needs = locator.data, locator.run.needs
    rows = data.rows(split).tolist()
    if split not in data.dense_splits:
        has = ", ".join(sorted(data.dense_splits)) or "no split"
        raise UsageError(
            f"nobody has annotated when classes are heard or seen in split {split!r} of data set "
            f"{data.manifest.dataset}; {has} is annotated, see --split"
        )
    instances = [locator.locate(row) for row in rows]
    measures: dict[str, Any] = {"split": split, "clips": len(rows)}
    if "proposals" in needs and data.truth["visual"][rows].any():
        measures["sight"] = time_scores(locator, instances, rows, "visual")
    return measures | measures_of_audio(locator, instances, split)


def measures_of_audio(
    locator: Locator, instances: list[InstanceScores], split: str
) -> dict[str, dict[str, float | None]]:
    """Return `sound` and `sound_events` of a split; nothing for a model without audio segments."""
    run, data = locator.run, locator.data
    rows = data.rows(split)
    if "segments" not in run.needs or not data.truth["audio"][rows].any():
        return {}
    task = run.card.task
    tags = task.predict(run.model, data, rows, run.config)
    scores = task.evaluate(tags, data, split, run.config, run.thresholds).metrics
    return {
        "sound": dict(time_scores(locator, instances, rows.tolist(), "audio")),
        "sound_events": {name: scores[name] for name in SOUND_EVENT_NAMES if name in scores},
    }


def box_rates(
    keys: list[str],
    instances: list[InstanceScores],
    truth: Truth,
    labels: tuple[str, ...],
    classes: tuple[str, ...],
) -> dict[str, Any]:
    """Return rates over clips and events: of the top box, a random one, the largest, the best.

    Of the classes that the instances are scored for, those of `labels` count.
    """
    cases: dict[str, list[dict[str, float]]] = {"clip": [], "event": []}
    for key, scores in zip(keys, instances, strict=True):
        for label in labels:
            column, seen = classes.index(label), truth.get((key, label), {})
            if not seen or not len(scores.boxes):
                continue
            cases["clip"].append(_case(scores, column, np.arange(len(scores.boxes)), seen))
            for run in _runs(sorted(seen)):
                inside = np.flatnonzero(np.isin(scores.box_seconds, run))
                if len(inside):
                    cases["event"].append(_case(scores, column, inside, seen))
    return {kind: _means(rows) for kind, rows in cases.items() if rows}


def box_classes(
    keys: list[str], instances: list[InstanceScores], truth: Truth, classes: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Return the rates of the top boxes of clips for each class that is seen in some."""
    of_class = {label: box_rates(keys, instances, truth, (label,), classes) for label in classes}
    return {
        label: {name: rates["clip"][name] for name in ("cases", *TOP_BOX)}
        for label, rates in of_class.items()
        if rates
    }


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {"cases": len(rows), **means}


def _case(
    instances: InstanceScores, column: int, among: NDArray[np.int64], seen: Mapping[int, Values]
) -> dict[str, float]:
    boxes, scores = instances.boxes[among], instances.box_scores[among, column]
    pointed, overlaps = hits(boxes, instances.box_seconds[among], seen)
    top, largest = int(scores.argmax()), int(area(boxes).argmax())
    by_box = {
        "pointing": pointed, "iou30": overlaps >= 0.3, "iou50": overlaps >= 0.5, "iou": overlaps
    }  # fmt: skip
    return {
        f"{who}_{name}": float(value)
        for name, of_box in by_box.items()
        for who, value in (
            ("top", of_box[top]), ("random", of_box.mean()), ("largest", of_box[largest]),
            ("any", of_box.max()),
        )
    }  # fmt: skip


def _runs(seconds: list[int]) -> list[list[int]]:
    """Split seconds into runs without a gap.

    >>> _runs([1, 2, 3, 7])
    [[1, 2, 3], [7]]
    """
    runs: list[list[int]] = []
    for second in seconds:
        if runs and runs[-1][-1] == second - 1:
            runs[-1].append(second)
        else:
            runs.append([second])
    return runs


def time_scores(
    locator: Locator, instances: list[InstanceScores], rows: list[int], modality: Modality
) -> dict[str, float]:
    """Return the segment F of a modality in per cent: ours, and of whole clips and of nothing."""
    data = locator.data
    thresholds = tagging.cut_values(locator.run.thresholds, len(locator.run.classes))
    tune_rows = data.rows(tagging.tuned_on(data)).tolist()
    tune = [by_second(locator.locate(row), modality) for row in tune_rows]
    tags = np.stack([locator.locate(row).clip for row in tune_rows]) >= thresholds
    truth = data.truth[modality]
    reached = [_segment_f(np.stack(tune) >= cut, tags, truth[tune_rows]) for cut in GRID]
    cut = float(GRID[int(np.argmax(reached))])
    seconds = np.stack([by_second(scores, modality) for scores in instances])
    tags, true = np.stack([scores.clip for scores in instances]) >= thresholds, truth[rows]
    return {
        "threshold": cut,
        f"segment_{modality}": _segment_f(seconds >= cut, tags, true),
        "whole_clip": _segment_f(seconds >= 0.0, tags, true),
        "nothing": _segment_f(seconds >= 0.0, np.zeros_like(tags), true),
    }


def _segment_f(seconds: Mask, tags: Mask, true: Mask) -> float:
    """Return F of seconds [N, T, C] of clips with tags [N, C], in per cent."""
    nothing = np.zeros_like(true)
    return avvp_scores(seconds & tags[:, None], nothing, true, nothing)["segment_audio"]


def time_table(scores: Mapping[str, float], what: str) -> Table:
    """Return the scores of a modality over time as a table."""
    result = Table(title=f"{what}: segment F, per cent", title_justify="left")
    names = [name for name in scores if name != "threshold"]
    for name in names:
        result.add_column(name, justify="right")
    result.add_row(*(f"{scores[name]:.1f}" for name in names))
    return result


def event_table(scores: Mapping[str, float | None], task: Task[Any, Any]) -> Table:
    """Return the scores of sound event detection as a table."""
    result = Table(title="Sound events", title_justify="left")
    for name in scores:
        result.add_column(name, justify="right")
    result.add_row(*(shown(task, name, value) for name, value in scores.items()))
    return result


def box_table(measures: Mapping[str, Any]) -> Table:
    """Return the rates of the boxes as a table."""
    result = Table(title="Boxes: right ones and mean overlap, per cent", title_justify="left")
    for head in ("out of", "measure", "top box", "random box", "largest box", "any box", "cases"):
        result.add_column(head, justify="left" if head in ("out of", "measure") else "right")
    for kind, rates in measures.items():
        for measure_name in BOX_MEASURES:
            cells = [
                f"{100 * rates[f'{who}_{measure_name}']:.1f}"
                for who in ("top", "random", "largest", "any")
            ]
            result.add_row(f"{kind}s", measure_name, *cells, str(rates["cases"]))
    return result


def class_table(measures: Mapping[str, Mapping[str, float]]) -> Table:
    """Return the rates of the top boxes of clips, class by class, as a table."""
    result = Table(title="Top boxes of clips by class, per cent", title_justify="left")
    for head in ("class", *BOX_MEASURES, "cases"):
        result.add_column(head, justify="left" if head == "class" else "right")
    for label, rates in measures.items():
        cells = [f"{100 * rates[name]:.1f}" for name in TOP_BOX]
        result.add_row(printable(label), *cells, str(rates["cases"]))
    return result
