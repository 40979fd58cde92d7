"""A sweep: trainings with other settings, each worth what validation clips say of it."""

import logging
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.contract.config import TrainConfig
from models.data.source import ClipSource
from models.runtime import distributed as parallel
from models.runtime.console import console
from models.sweep import report
from models.sweep.space import Space, changed, combinations
from models.sweep.study import FILE, Study, Trial
from models.training import run_folder as runs
from models.training.loop import DivergenceError
from models.training.session import Session, fit
from schemas import JobError, UsageError

TRIALS, BEST = "trials", "best"
"""Folders of the trials, and of the training with the best settings."""
LOOKED_AT = ("train", "val")
"""Splits that a sweep may look at."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What is searched, and how often something is tried."""

    session: Session
    """The training whose settings change; its folder is that of the sweep."""
    space: Space
    """What is searched."""
    most: int
    """Trials at most; lists alone end with their last combination."""

    @property
    def trials(self) -> int:
        """Number of trials."""
        every = combinations(self.space)
        return self.most if every is None else min(self.most, every)


def search(sweep: Sweep, data: ClipSource) -> TrainConfig:
    """Try settings on training and validation clips; return the settings with the best values.

    Each trial is a whole training into `TRIALS/<number>`, worth the selection metric of the epoch
    that it keeps. The trials are in `sweep.db`, so a sweep that was stopped goes on where it was,
    within a trial too; table and figure are written after each. Clips of other splits are taken
    away first. `UsageError` without validation clips, `JobError` when every trial diverged.
    """
    session = sweep.session
    clips = without_test(data)
    task = session.method.card.task
    if not task.can_validate(clips):
        raise UsageError(
            f"{data.manifest.root} has no {task.validation_clips}, and a sweep goes by nothing "
            "else; give it some, or choose the settings yourself"
        )
    _refuse_untrained(session)
    about = {
        "experiment": session.experiment.name,
        "subset": data.manifest.subset_id,
        "settings": session.config.to_json(),
        "searched": [[one.name, list(one.values), one.ranged] for one in sweep.space],
    }
    first = parallel.rank() == 0  # of several processes the first one has the study
    study = Study(session.folder, sweep.space, session.config.seed, about) if first else None
    while (trial := parallel.of_first(lambda: _next(study, sweep.trials))) is not None:
        _try(study, sweep, trial, clips)
    best = parallel.of_first(lambda: None if study is None else study.best())
    if study is not None:
        metric = task.selection_metric
        console().print(report.screen_table(sweep.space, study.trials(), metric))
    if best is None:
        raise JobError(
            "no trial of the sweep has a finite validation score; search lower learning rates"
        )
    return changed(session.config, best.values)


def without_test(data: ClipSource) -> ClipSource:
    """Return the clips with no split for those that are neither trained nor validated on."""
    kept = np.where(np.isin(data.splits, LOOKED_AT), data.splits, "")
    return replace(data, splits=kept, dense_splits=data.dense_splits & set(LOOKED_AT))


def forget(folder: Path) -> None:
    """Remove an earlier sweep from a folder."""
    if parallel.rank() == 0:
        for name in (FILE, report.TABLE, report.FIGURE):
            (folder / name).unlink(missing_ok=True)
        for name in (TRIALS, BEST):
            shutil.rmtree(folder / name, ignore_errors=True)


def refuse_begun(folder: Path) -> None:
    """Raise `UsageError` when the folder holds a sweep."""
    if (folder / FILE).exists():
        raise UsageError(
            f"{folder} holds a sweep; go on with it with --resume, take another --run folder, or "
            "replace it with --overwrite"
        )


def _refuse_untrained(session: Session) -> None:
    """Raise `UsageError` when each trial would train the nets that it fuses."""
    fused = session.method.fused_runs(session.config, session.folder)
    inside = [name for name, run in fused.items() if run.is_relative_to(session.folder)]
    if inside:
        raise UsageError(
            f"a sweep of {session.experiment.name} would train its {inside[0]} net again and "
            f"again; train it first and give --{inside[0]}-run"
        )


def _next(study: Study | None, most: int) -> Trial | None:
    assert study is not None
    ended = sum(trial.ended for trial in study.trials())
    return None if ended >= most else study.next()


def _try(study: Study | None, sweep: Sweep, trial: Trial, clips: ClipSource) -> None:
    """Train with the values of a trial and write down what it came to."""
    session, started = sweep.session, time.monotonic()
    method, folder = session.method, session.folder / TRIALS / f"{trial.number:03d}"
    config = changed(session.config, trial.values)
    said = ", ".join(f"{name} {report.shown(value)}" for name, value in trial.values.items())
    logger.info("trial %d of %d: %s", trial.number + 1, sweep.trials, said)
    derived = method.derive(clips, config, folder)
    method.check(config, derived)
    one = replace(
        session, config=method.adapt(config, derived), folder=folder, trackers=(),
        resume=(folder / runs.RESUME).is_file(),
    )  # fmt: skip
    score, kept = None, 0
    try:
        state = fit(one, derived)[0].state
        if math.isfinite(state.kept_score):
            score, kept = state.kept_score, state.kept_epoch
    except DivergenceError:
        logger.warning("trial %d diverged", trial.number + 1)
    if study is not None:
        study.end(score, kept, time.monotonic() - started)
        (folder / runs.RESUME).unlink(missing_ok=True)
        _report(sweep, study.trials(), clips)
    parallel.wait()


def _report(sweep: Sweep, trials: Sequence[Trial], clips: ClipSource) -> None:
    folder, metric = sweep.session.folder, sweep.session.method.card.task.selection_metric
    report.write_table(folder / report.TABLE, sweep.space, trials, metric)
    title = f"{sweep.session.experiment.name}: validation {metric} of {len(trials)} trials"
    report.save_figure(folder / report.FIGURE, sweep.space, trials, metric, (title, clips.origin))
