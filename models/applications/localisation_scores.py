"""How often boxes and stretches of sound are right, on clips of the demo world.

Boxes: of every class and clip in which it is seen, the box of the highest score is taken, out of
all boxes of the clip (`clip`), or for every run of seconds in which the class is seen out of the
boxes of these seconds (`event`). It points right when its middle lies in a true box of the class in
its second, and finds the object when it overlaps one by half (intersection over union). Beside it
stand what a box drawn at random would reach on average, the largest box, and how often any box of
the candidates would do.

Sound: a second is heard when the clip has the class and the second's scaled score reaches a
threshold that is tuned on the validation clips; scored by the segment F of parsing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.table import Table

from models.applications.localisation import Located, Locator, Values, area, by_second, hits
from models.metrics import avvp_scores
from models.tasks import tagging
from schemas import UsageError
from schemas.demo import BOXES_FILE, FRAME_RATE

MIDDLE = FRAME_RATE // 2
"""Frame in the middle of a second."""
GRID = np.linspace(0.0, 1.0, 41)
"""Thresholds that are tried for the seconds of the sound."""

Truth = Mapping[tuple[str, str], Mapping[int, Values]]
"""Clip key and class to the true boxes [Q, 4] of each second."""


def read_boxes(folder: Path) -> Truth:
    """True boxes in the middle of every second; `UsageError` when the folder is no demo world."""
    path = folder / BOXES_FILE
    if not path.is_file():
        raise UsageError(f"{folder} has no {BOXES_FILE}; give the folder of a demo world")
    found: dict[tuple[str, str], dict[int, list[list[float]]]] = {}
    for row in pq.read_table(path).to_pylist():
        second, frame = divmod(row["frame_index"], FRAME_RATE)
        if frame == MIDDLE and row["visible_share"] > 0:
            box = [row[edge] for edge in ("x0", "y0", "x1", "y1")]
            seconds = found.setdefault((row["clip_key"], row["label"]), {})
            seconds.setdefault(second, []).append(box)
    return {
        place: {second: np.asarray(boxes, np.float32) for second, boxes in seconds.items()}
        for place, seconds in found.items()
    }


def measure(locator: Locator, folder: Path, split: str) -> dict[str, Any]:
    """`boxes` and `sound`, where the model scores them: rates as fractions, F in per cent."""
    truth = read_boxes(folder)
    data, needs = locator.data, locator.run.needs
    rows = data.rows(split).tolist()
    if not any(data.keys[row] == key for row in rows for key, _ in truth):
        raise UsageError(f"{folder} is not the demo world of {data.manifest.root}: no clip in both")
    located = [locator.locate(row) for row in rows]
    found: dict[str, Any] = {"split": split, "clips": len(rows)}
    if "proposals" in needs:
        keys = [data.keys[row] for row in rows]
        found["boxes"] = box_rates(keys, located, truth, locator.run.classes)
    if "segments" in needs:
        found["sound"] = sound_scores(locator, located, rows)
    return found


def box_rates(
    keys: list[str], located: list[Located], truth: Truth, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Rates over clips and over events: of the top box, a random one, the largest, the best."""
    cases: dict[str, list[dict[str, float]]] = {"clip": [], "event": []}
    for key, one in zip(keys, located, strict=True):
        for column, label in enumerate(classes):
            seen = truth.get((key, label), {})
            if not seen or not len(one.boxes):
                continue
            cases["clip"].append(_case(one, column, np.arange(len(one.boxes)), seen))
            for run in _runs(sorted(seen)):
                inside = np.flatnonzero(np.isin(one.box_seconds, run))
                if len(inside):
                    cases["event"].append(_case(one, column, inside, seen))
    return {kind: _means(rows) for kind, rows in cases.items() if rows}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {"cases": len(rows), **means}


def _case(
    one: Located, column: int, among: NDArray[np.int64], seen: Mapping[int, Values]
) -> dict[str, float]:
    boxes, scores = one.boxes[among], one.box_scores[among, column]
    pointed, found = hits(boxes, one.box_seconds[among], seen)
    top, largest = int(scores.argmax()), int(area(boxes).argmax())
    return {
        "top_pointing": pointed[top], "random_pointing": pointed.mean(),
        "largest_pointing": pointed[largest], "any_pointing": pointed.any(),
        "top_iou50": found[top], "random_iou50": found.mean(),
        "largest_iou50": found[largest], "any_iou50": found.any(),
    }  # fmt: skip


def _runs(seconds: list[int]) -> list[list[int]]:
    """Seconds in runs without a gap.

    >>> _runs([1, 2, 3, 7])
    [[1, 2, 3], [7]]
    """
    found: list[list[int]] = []
    for second in seconds:
        if found and found[-1][-1] == second - 1:
            found[-1].append(second)
        else:
            found.append([second])
    return found


def sound_scores(locator: Locator, located: list[Located], rows: list[int]) -> dict[str, float]:
    """Segment F of the sound in per cent: ours, and of the found labels in every second."""
    data, thresholds = (
        locator.data,
        tagging.read_thresholds(locator.run.results, len(locator.run.classes)),
    )
    tune_rows = data.rows(tagging.tuned_on(data)).tolist()
    tune = [locator.locate(row) for row in tune_rows]
    reached = [_segment_f(locator, tune, tune_rows, thresholds, float(cut)) for cut in GRID]
    cut = float(GRID[int(np.argmax(reached))])
    return {
        "threshold": cut,
        "segment_audio": _segment_f(locator, located, rows, thresholds, cut),
        "whole_clip": _segment_f(locator, located, rows, thresholds, 0.0),
        "nothing": _segment_f(locator, located, rows, np.full(len(thresholds), np.inf), 0.0),
    }


def _segment_f(
    locator: Locator, located: list[Located], rows: list[int], thresholds: Any, cut: float
) -> float:
    heard = np.stack([by_second(one) >= cut for one in located])
    heard &= np.stack([one.clip >= thresholds for one in located])[:, None]
    true = locator.data.truth["audio"][rows]
    nothing = np.zeros_like(true)
    return avvp_scores(heard, nothing, true, nothing)["segment_audio"]


def table(part: str, found: Mapping[str, Any]) -> Table:
    """The rates of the boxes, or the scores of the sound."""
    if part == "sound":
        result = Table(title="Sound: segment F, per cent", title_justify="left")
        for name in ("segment_audio", "whole_clip", "nothing"):
            result.add_column(name, justify="right")
        result.add_row(
            *(f"{found[name]:.1f}" for name in ("segment_audio", "whole_clip", "nothing"))
        )
        return result
    result = Table(title="Boxes: share of right ones, per cent", title_justify="left")
    for head in ("out of", "measure", "top box", "random box", "largest box", "any box", "cases"):
        result.add_column(head, justify="left" if head in ("out of", "measure") else "right")
    for kind, rates in found.items():
        for measure_name in ("pointing", "iou50"):
            cells = [
                f"{100 * rates[f'{who}_{measure_name}']:.1f}"
                for who in ("top", "random", "largest", "any")
            ]
            result.add_row(f"{kind}s", measure_name, *cells, str(rates["cases"]))
    return result
