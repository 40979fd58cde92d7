"""Write docs/papers.md and docs/avvp.md: the papers' numbers, ours beside them, differences.

python -m models.papers --runs runs --out docs/papers.md --board docs/avvp.md
"""

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    import sys
    from os.path import dirname, realpath

    here = dirname(realpath(__file__))
    sys.path[:] = [dirname(here), *(entry for entry in sys.path if entry != here)]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
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
    board: Path = Path("docs/avvp.md")
    """Page of the systems for audio-visual video parsing, by year."""
    demo: Path = Path("docs/benchmarks/avvp.json")
    """Their scores on the demo world, as they were measured; it may be missing."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    cli.say_loading(PROGRAM)
    ours = comparable_runs(options.runs)
    files.write_text(options.out, page(ours))
    measured = files.read_json(options.demo, "no measurement") if options.demo.is_file() else {}
    files.write_text(options.board, board(ours, measured))


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
        source = f"ours, {len(ours)} seeds, {_tested(ours[0])} test clips, subset {subsets}"
        lines.append(_line([f"`{experiment.name}`", source, *cells]))
    return lines


BOARD = """\
# Audio-visual video parsing

Which second of a clip holds which event, heard or seen, learnt from labels of whole clips: the
systems by year, with segment-level (seg) and event-level (ev) Type@AV on LLP as papers print it, in
per cent. *Demo* is ours on the demo world with seeded weights, mean and standard deviation over
seeds: it says whether a net learns, and does not stand beside a paper's number. *Reproduced* is
ours on a store of LLP's own features, from runs without a caveat: mean over seeds, the 95 %
bootstrap interval over test clips, and how many of the test clips the store has; without such runs
it is empty. Every number of the papers is in [papers.md](papers.md).
`python -m models.papers --runs runs` writes this page.

Of UnAV-100, untrimmed videos of events that are heard and seen, `--dataset unav100` reads the
annotations as their authors publish them (`unav100_annotations.json`). What `models/predict.py`
finds in its videos is scored as there, by mean average precision at overlaps from 0.1 to 0.9:
`python models/evaluate.py --detections events.csv --dataset unav100 --annotations DIR`. The nets
here say what each second holds; none of them is trained on the ends of events, as nets of
UnAV-100 are.
"""
HEADS = (
    "year",
    "system",
    "inputs",
    "seg Type",
    "ev Type",
    "demo seg",
    "demo ev",
    "reproduced seg",
    "command",
)
TYPES = ("segment_type_av", "event_type_av")
NOT_BUILT: tuple[tuple[int, str, float, float], ...] = (
    (2023, "VPLAN", 61.2, 54.7), (2023, "CMPAE", 63.3, 57.4), (2023, "PoiBin", 61.4, 55.2),
    (2023, "LSLD", 63.1, 57.6), (2024, "PPL", 64.8, 59.9), (2024, "LEAP", 62.5, 57.8),
)  # fmt: skip
"""Systems of table 1 of Lai et al. 2025 that are not built: year, name, segment and event Type."""


def board(ours: "Mapping[str, Sequence[RunResults]]", demo: Mapping[str, Any]) -> str:
    """Return the page of the systems that parse both modalities, oldest first, as Markdown."""
    from models import registry

    methods = [registry.load(name) for name in registry.MODELS]
    rows = [
        (year_of(method.card), _board_row(method, experiment, ours, demo.get("runs", {})))
        for method in methods
        if method.card.task.name == "parsing" and len(method.card.task.modalities) == 2
        for experiment in method.card.experiments
        if _on_board(experiment, demo)
    ]
    rows += [
        (year, [name, "", f"{segment:.1f}", f"{event:.1f}", "", "", "", "not built here"])
        for year, name, segment, event in NOT_BUILT
    ]
    lines = [BOARD, _line(HEADS), _line(["---"] * len(HEADS))]
    lines += [_line([str(year), *cells]) for year, cells in sorted(rows, key=lambda row: row[0])]
    lines += ["", *_notes(demo)]
    return "\n".join(lines) + "\n"


def _on_board(experiment: Experiment, demo: Mapping[str, Any]) -> bool:
    """Return whether a paper has it with both Types or none, or it was run on the demo world."""
    of_a_paper = any(
        set(TYPES) <= row.numbers.keys() or (not row.numbers and row.paper != "no paper")
        for row in experiment.rows
    )
    return of_a_paper or experiment.name in demo.get("runs", {})


def _board_row(
    method: Any, experiment: Experiment, ours: "Mapping[str, Sequence[RunResults]]",
    demo: Mapping[str, Any],
) -> list[str]:  # fmt: skip
    """Return the cells of a system after its year."""
    config = method.config.from_json(experiment.settings)
    needs = [*method.features(config), *["pseudo_labels"] * method.pseudo_labels]
    paper: Mapping[str, float] = {}
    for row in experiment.rows:  # the last one is what later papers quote
        paper = row.numbers if set(TYPES) <= row.numbers.keys() else paper
    measured = demo.get(experiment.name, {})
    return [
        f"`{experiment.name}`",
        ", ".join(needs),
        *(printed(paper.get(name)) for name in TYPES),
        *(_spread(measured.get(name)) for name in TYPES),
        _real(ours.get(experiment.name, ())),
        f"`python models/train.py {experiment.name} --features OUT`",
    ]


def _spread(score: Mapping[str, float] | None) -> str:
    return "" if score is None else f"{score['mean']:.1f} ± {score['std']:.1f}"


def _real(runs: "Sequence[RunResults]") -> str:
    """Return mean over seeds, the first run's interval, and how many test clips there were."""
    if not runs:
        return ""
    report = runs[0].reports["test"]
    mean = sum(run.reports["test"].metrics[TYPES[0]] or 0.0 for run in runs) / len(runs)
    interval = (report.intervals or {}).get(TYPES[0])
    between = "" if interval is None else f" [{interval[0]:.1f}, {interval[1]:.1f}]"
    seeds = f"{len(runs)} seed{'s' * (len(runs) > 1)}"
    return f"{mean:.1f}{between}, {seeds}, {_tested(runs[0])} clips"


def _tested(results: "RunResults") -> str:
    """Return how many test clips were scored, and of how many where the store says so."""
    count: int = results.features["clips"].get("test", 0)
    shares = (results.features.get("coverage") or {}).get("splits", {})
    of_all = f" of {shares['test']['clips']:,}" if "test" in shares else ""
    return f"{count:,}{of_all}"


def year_of(card: ModelCard) -> int:
    """Return the last year that a card's paper names.

    >>> from models import registry
    >>> year_of(registry.load("han").card)
    2020
    """
    return int(re.findall(r"20\d\d", card.paper)[-1])


def _notes(demo: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is to know about the scores on the demo world."""
    for note in demo.get("notes", ()):
        yield f"- {note}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
