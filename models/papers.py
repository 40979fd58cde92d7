"""Write docs/papers.md: the papers' numbers, ours beside them where there are any, differences.

python -m models.papers --runs runs --out docs/papers.md
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import registry
from models.contract.card import Experiment, ModelCard
from models.metrics import AVVP_NAMES
from models.runtime import command_line as cli
from models.runtime import files
from models.training import results
from models.training import run_folder as runs
from models.training import tables as report

PROGRAM = "models.papers"
INTRODUCTION = """\
# Papers

Every row of the papers' tables that `python models/train.py --list` runs, with the paper's numbers
in per cent: segment (seg) and event (ev) level F of audio (A), visual (V), audio-visual (AV), their
mean (Type) and both modalities together (Event); of models that tag whole clips micro F1, precision
(P) and recall (R), or mean average precision (mAP) and area under the ROC curve (mAUC). A line
*ours* is the mean over seeds with its standard deviation, from runs on the paper's data set,
weights and settings; without such runs there is none. `python -m models.papers` writes this page.
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to read and where to write."""

    runs: Path = Path("runs")
    """Folder with run folders of models/train.py; it may be missing."""
    out: Path = Path("docs/papers.md")
    """Page to write."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    cli.refuse_unknown(arguments, (Options,), PROGRAM)
    options = cli.parse(Options, arguments, PROGRAM, description=__doc__)
    text = page(comparable_runs(options.runs))
    files.write_whole(options.out, lambda place: place.write_text(text))


def comparable_runs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Results below a folder that may stand beside the paper's, by experiment."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.rglob(runs.RESULTS)):
        one = files.read_json(path, "no run folder")
        if not one["caveats"] and "test" in one["metrics"]:
            found.setdefault(one["experiment"], []).append(one)
    return found


def page(ours: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Give the page as Markdown; `ours` maps an experiment to the results of its runs."""
    cards = [registry.load(name).CARD for name in registry.MODELS]
    return "\n".join([INTRODUCTION, *(chapter(card, ours) for card in cards)])


def chapter(card: ModelCard, ours: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """One model: where it comes from, its rows, where it differs."""
    lines = [f"## {card.name}", "", f"{card.title}. {card.paper}. <{card.url}>"]
    if card.code and card.code != card.url:
        lines.append(f"Authors' code: <{card.code}>")
    columns = columns_of(card)
    lines += ["", _line(["experiment", "row", *columns.values()])]
    lines.append(_line(["---"] * (2 + len(columns))))
    for experiment in card.experiments:
        lines += rows(experiment, ours.get(experiment.name, ()), list(columns))
    lines += ["", "Differences:", "", *(f"- {one}" for one in card.differences), ""]
    return "\n".join(lines)


def columns_of(card: ModelCard) -> dict[str, str]:
    """Scores of a chapter's columns and their heads: those that the rows of the card have."""
    if not card.judge:
        return dict(zip(AVVP_NAMES, report.PARSING_HEADS, strict=True))
    printed = {name for one in card.experiments for row in one.rows for name in row.numbers}
    return {name: head for name, head in report.PAPER_TAGGING.items() if name in printed}


def rows(
    experiment: Experiment, ours: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> list[str]:
    """The paper's rows of an experiment, and one of ours when it has been run."""
    lines = []
    for row in experiment.rows:
        numbers = [row.numbers.get(name) for name in names]
        cells = [report.printed(number) for number in numbers]
        place = f"{row.paper}, table {row.table}: {row.row}"
        lines.append(_line([f"`{experiment.name}`", place, *cells]))
    if ours:
        scores = results.spread([one["metrics"]["test"] for one in ours])
        cells = [
            " ± ".join(f"{report.shown(name, scores[name][part]):.1f}" for part in ("mean", "std"))
            if name in scores
            else ""
            for name in names
        ]
        subsets = ", ".join(sorted({str(one["subset_id"]) for one in ours}))
        count = ours[0]["features"]["clips"].get("test", 0)
        place = f"ours, {len(ours)} seeds, {count} test clips, subset {subsets}"
        lines.append(_line([f"`{experiment.name}`", place, *cells]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
