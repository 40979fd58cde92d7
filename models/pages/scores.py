"""Scores of a run as rows of dots on one axis, and as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.contract.report import SplitReport
from models.contract.task import Task
from models.runtime.experiment_list import printed
from models.training.results import RunResults
from models.training.tables import shown

Cell = tuple[str, Any]
"""What a cell shows, and what it is sorted by."""
OFF_AXIS = ("dprime", "sed_segment_er")
"""Scores that are no shares; they stand in tables only."""


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One score on the axis from 0 to 100."""

    label: str
    value: str
    dots: Sequence[tuple[str, float, str]]
    """Kind (`ours`, `floor`, `paper`, or a baseline's name), place, what to say."""
    interval: tuple[float, float] | None
    """Start and width of the 95 % interval."""


def score_rows(
    task: Task[Any, Any],
    report: SplitReport,
    published: Mapping[str, float],
    baselines: Mapping[str, SplitReport] | None = None,
) -> list[ScoreRow]:
    """Return our scores with interval, beside predicting nothing, baselines and the paper."""
    rows = []
    for name, value in report.metrics.items():
        if value is None or name in OFF_AXIS:
            continue
        ours = task.printed(name, value)
        dots = [("ours", ours, f"ours {ours:.2f}")]
        floor = (report.floor or {}).get(name)
        if floor is not None:
            nothing = task.printed(name, floor)
            dots.insert(0, ("floor", nothing, f"predicting nothing {nothing:.2f}"))
        for baseline, other in (baselines or {}).items():
            reached = other.metrics.get(name)
            if reached is not None:
                place = task.printed(name, reached)
                dots.insert(0, (baseline, place, f"{baseline} {place:.2f}"))
        if name in published:
            dots.append(("paper", published[name], f"paper {printed(published[name])}"))
        low_high = (report.intervals or {}).get(name)
        interval = None if low_high is None else (low_high[0], low_high[1] - low_high[0])
        rows.append(ScoreRow(label=name, value=f"{ours:.2f}", dots=dots, interval=interval))
    return rows


def score_table(
    task: Task[Any, Any],
    report: SplitReport,
    published: Mapping[str, float],
    baselines: Mapping[str, SplitReport],
) -> tuple[list[tuple[str, bool]], list[list[Cell]]]:
    """Return heads, and a row per score: ours, interval, predicting nothing, baselines, paper."""
    heads = [
        ("score", False), ("ours", True), ("95 % interval", False), ("predicting nothing", True),
        *((name, True) for name in baselines), ("paper", True),
    ]  # fmt: skip
    rows = []
    for name, value in report.metrics.items():
        interval = (report.intervals or {}).get(name)
        between = "" if interval is None else f"{interval[0]:.2f} - {interval[1]:.2f}"
        floor = shown(task, name, (report.floor or {}).get(name))
        paper = published.get(name)
        rows.append(
            [(name, name), number(shown(task, name, value)), (between, ""), number(floor),
             *(number(shown(task, name, one.metrics.get(name))) for one in baselines.values()),
             (printed(paper), "" if paper is None else paper)]
        )  # fmt: skip
    return heads, rows


def class_table(report: SplitReport) -> tuple[list[tuple[str, bool]], list[list[Cell]]]:
    """Return heads and a row per class of every score that the report has by class."""
    classes = report.classes or {}
    names = list(dict.fromkeys(name for scores in classes.values() for name in scores))
    heads = [("class", False), *((score, True) for score in classes)]
    rows = [
        [(name, name), *(_class_cell(scores.get(name)) for scores in classes.values())]
        for name in names
    ]
    return heads, rows


def _class_cell(value: float | None) -> Cell:
    return ("", "") if value is None else (f"{value:.3g}", value)


def number(text: str) -> Cell:
    """Return a printed number as a cell."""
    return text, text


def paper_numbers(results: RunResults) -> Mapping[str, float]:
    """Return the numbers of the paper's row that the run stands for."""
    rows = results.paper.get("rows") or [{}]
    numbers: Mapping[str, float] = rows[0].get("numbers", {})
    return numbers
