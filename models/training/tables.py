"""What the command line prints: tables of scores."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from models.contract.card import ModelCard
from models.contract.report import SplitReport
from models.contract.task import Task
from models.runtime.experiment_list import printed
from models.training.results import Evaluation


def coverage_words(split: str, coverage: Mapping[str, Any]) -> str:
    """Say how much of a split is there and why the rest is not; empty when nobody has counted.

    >>> share = {"clips": 10, "present": 9, "missing": {"gone": 1}}
    >>> coverage_words("test", {"date": "2026-11-20T08:00:00", "splits": {"test": share}})
    '9 of 10 clips (90.0 %; missing: gone 1; counted 2026-11-20)'
    """
    share = coverage.get("splits", {}).get(split)
    if not share or not share["clips"]:
        return ""
    part = 100 * share["present"] / share["clips"]
    missing = ", ".join(f"{reason} {count:,}" for reason, count in share["missing"].items())
    why = f"; missing: {missing}" if missing else ""
    date = str(coverage["date"])[:10]
    return f"{share['present']:,} of {share['clips']:,} clips ({part:.1f} %{why}; counted {date})"


def score_title(split: str, report: SplitReport, covered: str = "") -> str:
    """Return what stands above a split's scores; `covered` is of `coverage_words`.

    A line of its own: the title of a narrow table would be folded to its width.
    """
    title = f"Scores on split {split!r}" + (f", {covered}" if covered else "")
    if report.ranked is not None and report.ranked["counted"] < report.ranked["classes"]:
        title += ", means over {counted} of {classes} classes".format(**report.ranked)
    return title


def score_table(task: Task[Any, Any], report: SplitReport, published: Mapping[str, float]) -> Table:
    """Return the scores of a split: ours, 95 % interval, floor, the paper's where comparable."""
    table = Table()
    table.add_column("score")
    table.add_column("ours", justify="right")
    floor, intervals = report.floor, report.intervals
    if floor and intervals:
        table.add_column("95 % interval", justify="right")
        table.add_column("predicting nothing", justify="right")
    if published:
        table.add_column("paper", justify="right")
    for name, value in report.metrics.items():
        cells = [name, shown(task, name, value)]
        if floor and intervals:
            low, high = intervals[name]
            cells += [f"{low:.2f} - {high:.2f}", shown(task, name, floor[name])]
        if published:
            cells.append(printed(published.get(name)))
        table.add_row(*cells)
    return table


def print_results(out: Console, results: Evaluation, card: ModelCard) -> None:
    """Print where the features come from, a table per split, and what may not be compared."""
    features, comparable = results.features, not results.caveats
    published = results.paper["rows"][0]["numbers"] if comparable else {}
    clips = ", ".join(f"{name} {count}" for name, count in features["clips"].items())
    said = (
        f"{results.experiment}: data set {features['dataset']}, clips {clips}, "
        f"subset {results.subset_id}, weights {features['recipe']['weights']}"
    )
    out.print(said, markup=False)
    for split, report in results.reports.items():
        covered = coverage_words(split, features.get("coverage", {}))
        numbers = published if split == "test" else {}
        out.print(score_title(split, report, covered), markup=False)
        out.print(score_table(card.task, report, numbers))
    if not results.reports:
        out.print("No clip outside the training split, so there is nothing to score.")
    if not comparable:
        reasons = escape("\n".join(f"- {reason}" for reason in results.caveats))
        out.print(Panel(reasons, title="NOT COMPARABLE WITH THE PAPER", expand=False))
    elif published:
        out.print(f"Paper: {card.paper}, on all clips of {card.dataset}; compare the clip counts.")


def spread_table(
    task: Task[Any, Any], split: str, spread: Mapping[str, Mapping[str, float]], over: str
) -> Table:
    """Return mean and standard deviation of each score over seeds or folds."""
    table = Table(title=escape(f"Split {split!r} over {over}"), title_justify="left")
    for head in ("score", "mean", "standard deviation"):
        table.add_column(head, justify="left" if head == "score" else "right")
    for name, values in spread.items():
        table.add_row(name, *(shown(task, name, values[part]) for part in ("mean", "std")))
    return table


def shown(task: Task[Any, Any], name: str, value: float | None, digits: int = 2) -> str:
    """Return one of our scores as tables print it; empty where it is not defined."""
    return "" if value is None else f"{task.printed(name, value):.{digits}f}"
