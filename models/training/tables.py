"""What the command line prints: lists of experiments and tables of scores."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from models.contract.card import Experiment, ModelCard
from models.metrics import AVVP_NAMES

COLUMNS = ("audio", "visual", "audio_visual", "type_av", "event_av")
HEADS = ("A", "V", "AV", "Type", "Event")
PARSING_HEADS = tuple(f"{level} {head}" for level in ("seg", "ev") for head in HEADS)
PAPER_TAGGING = {
    "micro_f1": "F1", "micro_precision": "P", "micro_recall": "R", "map": "mAP", "mauc": "mAUC"
}  # fmt: skip
"""Tagging scores that papers print, in per cent, and how they head a column."""
TAGGING_HEADS = tuple(PAPER_TAGGING.values())


def experiment_tables(experiments: Iterable[tuple[str, Experiment]]) -> list[Table]:
    """Lists of parsing and of tagging experiments: a line a row of a paper's table, in per cent."""
    parsing = Table(title="Experiments; numbers are the papers', in per cent", title_justify="left")
    tagging = Table(title="Experiments in tagging", title_justify="left")
    for table, heads in ((parsing, PARSING_HEADS), (tagging, TAGGING_HEADS)):
        for head in ("experiment", "model", "paper", "table", "row"):
            table.add_column(head, overflow="fold")
        for head in heads:
            table.add_column(head, justify="right")
    for model, experiment in experiments:
        for row in experiment.rows:
            parses = set(row.numbers) <= set(AVVP_NAMES)
            names = AVVP_NAMES if parses else PAPER_TAGGING
            numbers = [printed(row.numbers.get(name)) for name in names]
            table = parsing if parses else tagging
            table.add_row(experiment.name, model, row.paper, row.table, row.row, *numbers)
    return [parsing, tagging]


def coverage_words(split: str, coverage: Mapping[str, Any]) -> str:
    """How much of a split is there and why the rest is not; empty when nobody has counted.

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


def score_table(split: str, report: Mapping[str, Any], published: Mapping[str, float]) -> Table:
    """Scores of a split: ours, 95 % interval, the floor, and the paper's where comparable."""
    covered = report.get("coverage")
    title = f"Scores on split {split!r}" + (f", {covered}" if covered else "")
    table = Table(title=title, title_justify="left")
    table.add_column("score")
    table.add_column("ours", justify="right")
    floor, intervals = report.get("floor"), report.get("intervals")
    if floor:
        table.add_column("95 % interval", justify="right")
        table.add_column("predicting nothing", justify="right")
    if published:
        table.add_column("paper", justify="right")
    for name, value in report["metrics"].items():
        cells = [name, _number(shown(name, value), 2)]
        if floor and intervals:
            low, high = intervals[name]
            cells += [f"{low:.2f} - {high:.2f}", _number(floor[name], 2)]
        if published:
            cells.append(printed(published.get(name)))
        table.add_row(*cells)
    return table


def print_results(out: Console, results: Mapping[str, Any], card: ModelCard) -> None:
    """Print where the features come from, a table a split, and what may not be compared."""
    features, comparable = results["features"], not results["caveats"]
    published = results["paper"]["rows"][0]["numbers"] if comparable else {}
    clips = ", ".join(f"{name} {count}" for name, count in features["clips"].items())
    out.print(
        f"{results['experiment']}: data set {features['dataset']}, clips {clips}, "
        f"subset {features['subset_id']}, weights {features['recipe']['weights']}"
    )
    for split, metrics in results["metrics"].items():
        covered = coverage_words(split, features.get("coverage", {}))
        report = {"metrics": metrics, "coverage": covered}
        for part in ("floor", "intervals"):
            if split in results.get(part, {}):
                report[part] = results[part][split]
        out.print(score_table(split, report, published if split == "test" else {}))
    if not results["metrics"]:
        out.print("No clip outside the training split, so there is nothing to score.")
    if not comparable:
        reasons = "\n".join(f"- {reason}" for reason in results["caveats"])
        out.print(Panel(reasons, title="NOT COMPARABLE WITH THE PAPER", expand=False))
    elif published:
        out.print(f"Paper: {card.paper}, on all clips of {card.dataset}; compare the clip counts.")


def spread_table(split: str, scores: Mapping[str, Mapping[str, float]], over: str) -> Table:
    """Mean and standard deviation of each score over seeds or folds."""
    table = Table(title=f"Split {split!r} over {over}", title_justify="left")
    for head in ("score", "mean", "standard deviation"):
        table.add_column(head, justify="left" if head == "score" else "right")
    for name, one in scores.items():
        table.add_row(name, *(_number(shown(name, one[part]), 2) for part in ("mean", "std")))
    return table


def shown(name: str, value: float | None) -> float | None:
    """A score as it is printed: fractions of tagging in per cent, all others as they are."""
    fraction = name in PAPER_TAGGING or name == "accuracy"
    return 100.0 * value if fraction and value is not None else value


def printed(value: float | None) -> str:
    """A paper's number with the digits that it is printed with, one or two behind the point.

    >>> printed(38.35), printed(38.0), printed(None)
    ('38.35', '38.0', '')
    """
    if value is None:
        return ""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"
