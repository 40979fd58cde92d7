"""Several runs side by side: scores, curves, settings that differ, classes; one file."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.pages.run_page import TEMPLATES, RunFacts, attempt
from models.pages.scores import OFF_AXIS, Cell, ScoreRow, number, paper_numbers, score_rows
from models.runtime import files
from models.tasks.timelines import shown_split
from models.training.run_folder import REPORT
from models.training.tables import shown
from schemas import UsageError, page

Heads = list[tuple[str, bool]]


def write_comparison(folders: Sequence[Path], html: Path) -> Path:
    """Write a page that compares finished runs; return its path.

    `UsageError` when a folder is no finished run, or when runs are of different tasks.
    """
    runs = [RunFacts.read(folder) for folder in folders]
    tasks = {run.method.card.task.name: run for run in runs}
    if len(tasks) > 1:
        said = ", ".join(f"{run.folder} is {name}" for name, run in tasks.items())
        raise UsageError(f"runs of one task can be compared, and {said}; leave some out")
    files.write_text(html, page.render("compare.html.j2", TEMPLATES, **facts(runs)))
    return html


def compare_after_trainings(folders: Sequence[Path], base: Path) -> None:
    """Write the page of several seeds or folds; a failure costs no training."""
    path = base / REPORT
    attempt(path, partial(write_comparison, folders, path))


def facts(runs: Sequence[RunFacts]) -> dict[str, Any]:
    """Return what the template shows."""
    names = _names(runs)
    splits = [split for split in runs[0].results.reports
              if all(split in run.results.reports for run in runs)]  # fmt: skip
    columns: Heads = [(name, True) for name in names]
    return {
        "title": "Runs side by side: " + ", ".join(names[:4]) + (", ..." if names[4:] else ""),
        "runs": runs,
        "split_words": f"split {shown_split(splits)}" if splits else "",
        "warnings": warnings(runs, names),
        "run_heads": [("run", False), ("experiment", False), ("data set", False),
                      ("subset", False), ("weights", False), ("seed", True), ("epoch kept", True),
                      ("seconds", True)],
        "run_rows": [_facts_row(name, run) for name, run in zip(names, runs, strict=True)],
        "splits": [_split(runs, names, split) for split in splits],
        "chart": _chart(runs, names),
        "setting_heads": [("setting", False), *((name, False) for name in names)],
        "settings": _settings(runs),
        "class_heads": [("class", False), *columns],
        "classes": _classes(runs, shown_split(splits)),
    }  # fmt: skip


def _names(runs: Sequence[RunFacts]) -> list[str]:
    """Return a title for each run, with a number behind titles that come again."""
    names: list[str] = []
    for run in runs:
        same = sum(name == run.title or name.startswith(f"{run.title} (") for name in names)
        names.append(f"{run.title} ({same + 1})" if same else run.title)
    return names


def warnings(runs: Sequence[RunFacts], names: Sequence[str]) -> list[str]:
    """Return why the numbers may not be compared: with each other, and with the paper's."""
    said = []
    for what, values in (
        ("subsets of clips", [run.results.subset_id for run in runs]),
        ("data sets", [run.results.features["dataset"] for run in runs]),
        ("weights of the features",
         [run.results.features["recipe"]["weights"] for run in runs]),
        ("folds", [str(run.config.fold) for run in runs]),
    ):  # fmt: skip
        if len(set(values)) > 1:
            said.append(f"the runs have different {what}: {', '.join(map(str, set(values)))}")
    by_caveat: dict[str, list[str]] = {}
    for name, run in zip(names, runs, strict=True):
        for caveat in run.results.caveats:
            by_caveat.setdefault(caveat, []).append(name)
    return said + [
        f"not comparable with the paper ({'all' if len(of) == len(runs) else ', '.join(of)}): "
        f"{caveat}"
        for caveat, of in by_caveat.items()
    ]


def _facts_row(name: str, run: RunFacts) -> list[Cell]:
    results, features = run.results, run.results.features
    weights = features["recipe"]["weights"]
    words = (name, results.experiment, features["dataset"], results.subset_id, weights,
             results.seed, results.kept_epoch, results.seconds)  # fmt: skip
    return [(str(word), word) for word in words]


def _split(runs: Sequence[RunFacts], names: Sequence[str], split: str) -> dict[str, Any]:
    """Return a table of all scores, with mean and deviation, and the scores on their axis."""
    task = runs[0].method.card.task
    reports = [run.results.reports[split] for run in runs]
    scores = [name for name in reports[0].metrics if all(name in r.metrics for r in reports)]
    rows, tracks = [], []
    for score in scores:
        values = [report.metrics[score] for report in reports]
        cells = [number(shown(task, score, value)) for value in values]
        known = [task.printed(score, value) for value in values if value is not None]
        spread: list[Cell] = [("", ""), ("", "")]
        if len(known) == len(values) and len(values) > 1:
            mean, std = float(np.mean(known)), float(np.std(known, ddof=1))
            spread = [(f"{mean:.2f}", mean), (f"{std:.2f}", std)]
        rows.append([(score, score), *cells, *spread])
        if score in task.columns and score not in OFF_AXIS:
            tracks.append({"name": score, "rows": _tracks(runs, names, split, score)})
    heads = [("score", False), *((name, True) for name in names), ("mean", True),
             ("standard deviation", True)]  # fmt: skip
    return {"name": split, "heads": heads, "rows": rows, "tracks": tracks}


def _tracks(
    runs: Sequence[RunFacts], names: Sequence[str], split: str, score: str
) -> list[ScoreRow]:
    """Return one score of every run, beside predicting nothing and the paper."""
    task, rows = runs[0].method.card.task, []
    for name, run in zip(names, runs, strict=True):
        published = paper_numbers(run.results) if split == "test" else {}
        of_run = score_rows(task, run.results.reports[split], published)
        rows += [replace(row, label=name) for row in of_run if row.label == score]
    return rows


def _chart(runs: Sequence[RunFacts], names: Sequence[str]) -> page.Chart | None:
    """Return the selection metric on the validation clips, or the loss, of all runs."""
    metric = f"val_{runs[0].method.card.task.selection_metric}"
    lines = [{int(line["epoch"]): line for line in run.results.history} for run in runs]
    column = metric if any(metric in line for held in lines for line in held.values()) else "total"
    epochs = sorted({epoch for held in lines for epoch in held})
    series = {
        name: [held.get(epoch, {}).get(column) for epoch in epochs]
        for name, held in zip(names, lines, strict=True)
    }
    return page.chart(column, [float(epoch) for epoch in epochs], series) if epochs else None


def _settings(runs: Sequence[RunFacts]) -> list[list[Cell]]:
    """Return the settings that are not the same in all runs."""
    held = [run.config.settings for run in runs]
    every = dict.fromkeys(name for settings in held for name in settings)
    rows = []
    for name in every:
        values = [str(settings.get(name, "")) for settings in held]
        if len(set(values)) > 1:
            rows.append([(name, name), *((value, value) for value in values)])
    return rows


def _classes(runs: Sequence[RunFacts], split: str | None) -> list[list[Cell]]:
    """Return the task's first score by class that all runs have."""
    if split is None:
        return []
    held = [run.results.reports[split].classes or {} for run in runs]
    shared = [score for score in held[0] if all(score in classes for classes in held)]
    if not shared:
        return []
    score = "ap" if "ap" in shared else shared[-1]
    names = dict.fromkeys(name for classes in held for name in classes[score])
    return [
        [(name, name), *(_cell(classes[score].get(name)) for classes in held)] for name in names
    ]


def _cell(value: float | None) -> Cell:
    return ("", "") if value is None else (f"{value:.3g}", value)
