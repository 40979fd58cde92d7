"""Write docs/papers.md: the papers' numbers, ours beside them where there are any, differences.

python -m models.papers --runs runs --out docs/papers.md
"""

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    import sys
    from os.path import dirname, realpath

    here = dirname(realpath(__file__))
    sys.path[:] = [dirname(here), *(entry for entry in sys.path if entry != here)]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.contract.card import Departure, Experiment, ModelCard
from models.contract.task import Task
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.experiment_list import printed

if TYPE_CHECKING:  # torch is imported once the options are read
    from models.training.results import RunResults

PROGRAM = "models.papers"
INTRODUCTION = """\
# Papers

Every row of the papers' tables that `python models/train.py --list` runs, with the paper's numbers
in per cent: segment (seg) and event (ev) level F of audio (A), visual (V), audio-visual (AV), their
mean (Type) and both modalities together (Event); of models that tag whole clips micro F1, precision
(P) and recall (R), or mean average precision (mAP) and area under the ROC curve (mAUC). A line
*ours* is the mean over seeds with its standard deviation, from runs without a caveat: the paper's
data set, 95 % of its training and test clips, its weights, settings and system; without such runs
there is none. `python -m models.papers` writes this page.
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
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    cli.say_loading(PROGRAM)
    files.write_text(options.out, page(comparable_runs(options.runs)))


def comparable_runs(folder: Path) -> "dict[str, list[RunResults]]":
    """Return the results below a folder that may stand beside the paper's, by experiment."""
    from models.training import run_folder as runs
    from models.training.results import RunResults

    comparable: dict[str, list[RunResults]] = {}
    for path in sorted(folder.rglob(runs.RESULTS)):
        results = RunResults.read(path)
        if not results.caveats and "test" in results.reports:
            comparable.setdefault(results.experiment, []).append(results)
    return comparable


def page(ours: "Mapping[str, Sequence[RunResults]]") -> str:
    """Return the page as Markdown; `ours` maps an experiment to the results of its runs."""
    from models import registry

    cards = [registry.load(name).card for name in registry.MODELS]
    return "\n".join([INTRODUCTION, *(chapter(card, ours) for card in cards)])


def chapter(card: ModelCard, ours: "Mapping[str, Sequence[RunResults]]") -> str:
    """Return the chapter of a net: where it comes from, its rows, where it differs."""
    lines = [f"## {card.name}", "", f"{card.title}. {card.paper}. <{card.url}>"]
    if card.code and card.code != card.url:
        lines.append(f"Authors' code: <{card.code}>")
    columns = columns_of(card)
    lines += ["", _line(["experiment", "row", *columns.values()])]
    lines.append(_line(["---"] * (2 + len(columns))))
    for experiment in card.experiments:
        lines += rows(card.task, experiment, ours.get(experiment.name, ()), list(columns))
    lines += ["", "Differences:", "", *(f"- {difference}" for difference in card.differences), ""]
    if card.departures:
        lines += ["Caveats, with which no number of ours stands here:", ""]
        lines += [f"- {departure.says}{_where(departure)}." for departure in card.departures]
        lines.append("")
    return "\n".join(lines)


def _where(departure: Departure) -> str:
    """Say for which settings a departure holds; empty where it always does."""
    conditions = {**departure.settings, **departure.recipe}
    words = [f"`{name}` {' or '.join(map(str, values))}" for name, values in conditions.items()]
    return f" ({', '.join(words)})" if words else ""


def columns_of(card: ModelCard) -> dict[str, str]:
    """Return the scores of a chapter's columns with their heads: those in its rows."""
    printed = {
        name for experiment in card.experiments for row in experiment.rows for name in row.numbers
    }
    columns = card.task.columns
    return {name: head for name, head in columns.items() if name in printed or not printed}


def rows(
    task: Task[Any, Any], experiment: Experiment, ours: "Sequence[RunResults]", names: Sequence[str]
) -> list[str]:
    """Return the paper's rows of an experiment, and one of ours when it has been run."""
    from models.training import tables
    from models.training.results import spread

    lines = []
    for row in experiment.rows:
        numbers = [row.numbers.get(name) for name in names]
        cells = [printed(number) for number in numbers]
        source = f"{row.paper}, table {row.table}: {row.row}"
        lines.append(_line([f"`{experiment.name}`", source, *cells]))
    if ours:
        scores = spread([results.reports["test"].metrics for results in ours])
        cells = [
            " ± ".join(tables.shown(task, name, scores[name][part], 1) for part in ("mean", "std"))
            if name in scores
            else ""
            for name in names
        ]
        subsets = ", ".join(sorted({results.subset_id for results in ours}))
        count = ours[0].features["clips"].get("test", 0)
        source = f"ours, {len(ours)} seeds, {count} test clips, subset {subsets}"
        lines.append(_line([f"`{experiment.name}`", source, *cells]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
