"""`report.html` of a run: scores, curves, classes, confusion, clips, settings; one file."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models import registry
from models.contract.card import Experiment
from models.contract.report import ClipTimeline, SplitReport
from models.data.clips import open_clips
from models.data.source import ClipSource
from models.metrics import PRESENCE
from models.pages import frames
from models.pages.scores import class_table, paper_numbers, score_rows, score_table
from models.pages.yardsticks import reports_beside
from models.runtime import distributed as parallel
from models.runtime import files
from models.tasks.timelines import shown_split
from models.training import run_folder as runs
from models.training.caveats import FREE_SETTINGS
from models.training.figures import loss_terms, validation_scores
from models.training.method import NetMethod
from models.training.results import RunResults
from models.training.run_folder import RunConfig
from schemas import JobError, UsageError, page
from schemas.messages import printable

TEMPLATES = Path(__file__).parent / "templates"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, kw_only=True)
class RunFacts:
    """What a finished run folder says."""

    folder: Path
    config: RunConfig
    results: RunResults
    method: NetMethod[Any]
    experiment: Experiment

    @classmethod
    def read(cls, folder: Path) -> "RunFacts":
        """Read a run folder; `UsageError` when it is not one of a finished training."""
        config = runs.read_config(folder)
        name, experiment = registry.find(config.experiment)
        return cls(
            folder=folder, config=config, results=RunResults.read(folder / runs.RESULTS),
            method=registry.load(name), experiment=experiment,
        )  # fmt: skip

    @property
    def title(self) -> str:
        """Name of the folder, with that of the folder above for one of several seeds or folds."""
        name = self.folder.resolve().name
        several = name.isdigit() or name.startswith("fold-")
        return printable(f"{self.folder.resolve().parent.name}/{name}" if several else name, 120)


def write_report(
    folder: Path, *, html: Path | None = None, clips: ClipSource | None = None,
    media: Path | None = None,
) -> Path:  # fmt: skip
    """Write the page of a run, by default `report.html` in its folder; return its path.

    `clips` are those of the run's store, which is opened where they are not given; `media` is a
    folder with the clips' files, for frames. `UsageError` when the folder is no finished run.
    """
    run = RunFacts.read(folder)
    target = html or folder / runs.REPORT
    files.write_text(target, page.render("run.html.j2", TEMPLATES, **facts(run, clips, media)))
    return target


def write_after_training(folder: Path, clips: ClipSource | None = None) -> None:
    """Write the pages of a run and of those trained on the way; a failure costs no training."""
    for path in sorted(folder.glob("*/results.json")):
        if runs.unreported(path.parent):
            attempt(path.parent / runs.REPORT, partial(write_report, path.parent))
    attempt(folder / runs.REPORT, partial(write_report, folder, clips=clips))


def attempt(path: Path, write: Callable[[], object]) -> None:
    """Write a page of finished trainings; what goes wrong is logged, and costs none of them."""
    if parallel.rank() > 0:
        return
    try:
        write()
    except Exception:
        logger.exception("%s was not written, the results are whole", path)


def facts(run: RunFacts, clips: ClipSource | None, media: Path | None) -> dict[str, Any]:
    """Return what the template shows."""
    results = run.results
    split = shown_split(results.reports) or ""
    timelines, said = timelines_of(run, clips)
    return {
        "title": run.title,
        "run": run,
        "head": head(run),
        "splits": [
            scores_of(run, name)
            for name in sorted(results.reports, key=lambda name: (name != "test", name))
        ],
        "charts": charts(run),
        "split": split,
        "classes": class_table(results.reports[split]) if split else ((), ()),
        "confusion": confusion(results.reports.get(split)),
        "timelines": timelines,
        "said_of_timelines": said,
        "pictures": frames.of_clips(media, timelines),
        "settings": settings(run),
        "rows_of_paper": results.paper.get("rows", ()),
        "differences": run.method.card.differences,
    }


def scores_of(run: RunFacts, split: str) -> dict[str, Any]:
    """Return the scores of a split as dots and as a table, beside what they are compared with."""
    task, report = run.method.card.task, run.results.reports[split]
    published = paper_numbers(run.results) if split == "test" else {}
    baselines = reports_beside(run.folder, run.results, split)
    rows = score_rows(task, report, published, baselines)
    heads, table = score_table(task, report, published, baselines)
    return {"name": split, "rows": rows, "heads": heads, "table": table, "baselines": baselines}


def head(run: RunFacts) -> list[tuple[str, str]]:
    """Return what a reader must know first, as pairs of name and value."""
    results, features = run.results, run.results.features
    clips = ", ".join(f"{name} {count:,}" for name, count in features["clips"].items())
    pairs = [
        ("experiment", results.experiment), ("model", results.model),
        ("task", run.method.card.task.name), ("data set", features["dataset"]), ("clips", clips),
        ("subset", results.subset_id), ("weights", features["recipe"]["weights"]),
        ("seed", str(results.seed)), ("epoch kept", str(results.kept_epoch)),
        ("training took", f"{results.seconds:,.0f} s"),
    ]  # fmt: skip
    fold = run.config.fold
    return pairs if fold is None else [*pairs, ("fold", f"{fold[1]} of {fold[0]}")]


def charts(run: RunFacts) -> list[page.Chart]:
    """Return curves of loss terms and of validation scores, with the epoch that is kept."""
    history: Any = [dict(line) for line in run.results.history]
    kept = run.results.kept_epoch or None
    epochs = [float(line["epoch"]) for line in history]
    groups = (
        ("loss", loss_terms(history)),
        (f"validation, {run.method.card.task.unit}",
         validation_scores(history, run.method.card.task)),
        ("learning rate", ["rate"]),
    )  # fmt: skip
    drawn = (
        page.chart(
            title, epochs, {name: [line.get(name) for line in history] for name in names},
            mark=kept, mark_name=f"epoch {kept} is kept",
        )
        for title, names in groups
    )  # fmt: skip
    return [chart for chart in drawn if chart is not None]


def confusion(report: SplitReport | None) -> dict[str, Any] | None:
    """Return the confusion between the modalities, with the share of each row in per cent."""
    if report is None or report.confusion is None:
        return None
    shares = [[100 * n / max(1, sum(row)) for n in row] for row in report.confusion]
    return {"names": PRESENCE, "counts": report.confusion, "shares": shares}


def timelines_of(
    run: RunFacts, clips: ClipSource | None
) -> tuple[Mapping[str, Sequence[ClipTimeline]], str]:
    """Return clips by kind, and why there are none."""
    path = run.folder / runs.PREDICTIONS
    if not path.is_file():
        return {}, "The run wrote no predictions: its store has no clip outside the training split."
    try:
        held = _clips(run) if clips is None else clips
        timelines = run.method.card.task.timelines(path, held)
    except (JobError, UsageError) as error:
        return {}, f"The clips cannot be shown: {error}."
    return timelines, "" if timelines else "There is no clip outside the training split."


def _clips(run: RunFacts) -> ClipSource:
    """Open the store of a run without its features, for labels and truth."""
    config = run.config
    annotations = None if config.annotations is None else Path(config.annotations)
    clips: ClipSource = open_clips(Path(str(config.features)), (), annotations)
    runs.refuse_other_clips(run.folder, clips, run.results.subset_id)
    return clips


def settings(run: RunFacts) -> list[dict[str, Any]]:
    """Return every setting here and in the experiment that stands for the paper's row."""
    paper = run.method.config.from_json(run.experiment.settings).to_json()
    ours = {**paper, **run.config.settings}
    return [
        {
            "name": name, "ours": value, "paper": paper.get(name, ""),
            "differs": value != paper.get(name) and name not in FREE_SETTINGS,
        }
        for name, value in ours.items()
    ]  # fmt: skip
