"""How often boxes and audio segments are right, on clips of the demo world.

Boxes: of every class and clip in which it is seen, the box of the highest score is taken, out of
all boxes of the clip (`clip`), or for every run of seconds in which the class is seen out of the
boxes of these seconds (`event`). It points right when its centre lies in a true box of the class in
its second, and finds the object when it overlaps one by half (intersection over union). Beside it
stand what a box drawn at random would reach on average, the largest box, and how often any box of
the candidates would do.

Audio: a class is heard in a second when the clip has the class and the scaled score of the second
reaches a threshold that is tuned on the validation clips; scored by the segment F of parsing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.table import Table

from models.applications.localisation import InstanceScores, Locator, Values, area, by_second, hits
from models.metrics import avvp_scores
from models.tasks import tagging
from schemas import UsageError
from schemas.demo import BOXES_FILE, FRAME_RATE

MIDDLE = FRAME_RATE // 2
"""Frame in the middle of a second."""
GRID = np.linspace(0.0, 1.0, 41)
"""Thresholds that are tried for the seconds of the audio."""

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
            box = [row[edge] for edge in ("x0", "y0", "x1", "y1")]
            seconds = by_class.setdefault((row["clip_key"], row["label"]), {})
            seconds.setdefault(second, []).append(box)
    return {
        clip_class: {second: np.asarray(boxes, np.float32) for second, boxes in seconds.items()}
        for clip_class, seconds in by_class.items()
    }


def measure(locator: Locator, folder: Path, split: str) -> dict[str, Any]:
    """Measure `boxes` and `sound`, where the model scores them.

    Rates are fractions, F is in per cent. `UsageError` when the folder is another demo world.
    """
    truth = read_boxes(folder)
    data, needs = locator.data, locator.run.needs
    rows = data.rows(split).tolist()
    if not any(data.keys[row] == key for row in rows for key, _ in truth):
        raise UsageError(f"{folder} is not the demo world of {data.manifest.root}: no clip in both")
    instances = [locator.locate(row) for row in rows]
    measures: dict[str, Any] = {"split": split, "clips": len(rows)}
    if "proposals" in needs:
        keys = [data.keys[row] for row in rows]
        measures["boxes"] = box_rates(keys, instances, truth, locator.run.classes)
    if "segments" in needs:
        measures["sound"] = audio_scores(locator, instances, rows)
    return measures


def box_rates(
    keys: list[str], instances: list[InstanceScores], truth: Truth, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Return rates over clips and events: of the top box, a random one, the largest, the best."""
    cases: dict[str, list[dict[str, float]]] = {"clip": [], "event": []}
    for key, scores in zip(keys, instances, strict=True):
        for column, label in enumerate(classes):
            seen = truth.get((key, label), {})
            if not seen or not len(scores.boxes):
                continue
            cases["clip"].append(_case(scores, column, np.arange(len(scores.boxes)), seen))
            for run in _runs(sorted(seen)):
                inside = np.flatnonzero(np.isin(scores.box_seconds, run))
                if len(inside):
                    cases["event"].append(_case(scores, column, inside, seen))
    return {kind: _means(rows) for kind, rows in cases.items() if rows}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {"cases": len(rows), **means}


def _case(
    instances: InstanceScores, column: int, among: NDArray[np.int64], seen: Mapping[int, Values]
) -> dict[str, float]:
    boxes, scores = instances.boxes[among], instances.box_scores[among, column]
    pointed, overlaps = hits(boxes, instances.box_seconds[among], seen)
    top, largest = int(scores.argmax()), int(area(boxes).argmax())
    return {
        "top_pointing": pointed[top], "random_pointing": pointed.mean(),
        "largest_pointing": pointed[largest], "any_pointing": pointed.any(),
        "top_iou50": overlaps[top], "random_iou50": overlaps.mean(),
        "largest_iou50": overlaps[largest], "any_iou50": overlaps.any(),
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


def audio_scores(
    locator: Locator, instances: list[InstanceScores], rows: list[int]
) -> dict[str, float]:
    """Return the segment F of the audio in per cent: ours, and of whole clips and of nothing."""
    data = locator.data
    thresholds = tagging.cut_values(locator.run.thresholds, len(locator.run.classes))
    tune_rows = data.rows(tagging.tuned_on(data)).tolist()
    tune = [locator.locate(row) for row in tune_rows]
    reached = [_segment_f(locator, tune, tune_rows, thresholds, float(cut)) for cut in GRID]
    cut = float(GRID[int(np.argmax(reached))])
    return {
        "threshold": cut,
        "segment_audio": _segment_f(locator, instances, rows, thresholds, cut),
        "whole_clip": _segment_f(locator, instances, rows, thresholds, 0.0),
        "nothing": _segment_f(locator, instances, rows, np.full(len(thresholds), np.inf), 0.0),
    }


def _segment_f(
    locator: Locator, instances: list[InstanceScores], rows: list[int], thresholds: Any, cut: float
) -> float:
    heard = np.stack([by_second(scores) >= cut for scores in instances])
    heard &= np.stack([scores.clip >= thresholds for scores in instances])[:, None]
    true = locator.data.truth["audio"][rows]
    nothing = np.zeros_like(true)
    return avvp_scores(heard, nothing, true, nothing)["segment_audio"]


def audio_table(scores: Mapping[str, float]) -> Table:
    """Return the scores of the audio as a table."""
    result = Table(title="Audio: segment F, per cent", title_justify="left")
    names = ("segment_audio", "whole_clip", "nothing")
    for name in names:
        result.add_column(name, justify="right")
    result.add_row(*(f"{scores[name]:.1f}" for name in names))
    return result


def box_table(measures: Mapping[str, Any]) -> Table:
    """Return the rates of the boxes as a table."""
    result = Table(title="Boxes: share of right ones, per cent", title_justify="left")
    for head in ("out of", "measure", "top box", "random box", "largest box", "any box", "cases"):
        result.add_column(head, justify="left" if head in ("out of", "measure") else "right")
    for kind, rates in measures.items():
        for measure_name in ("pointing", "iou50"):
            cells = [
                f"{100 * rates[f'{who}_{measure_name}']:.1f}"
                for who in ("top", "random", "largest", "any")
            ]
            result.add_row(f"{kind}s", measure_name, *cells, str(rates["cases"]))
    return result
