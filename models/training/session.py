"""One training, from its settings to a run folder with everything that it leaves."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.contract.card import Experiment
from models.contract.config import TrainConfig
from models.data import splits
from models.data.source import ClipSource
from models.runtime import distributed as parallel
from models.runtime import files
from models.runtime.device import choose_device
from models.training import figures, loop, results
from models.training import run_folder as runs
from models.training.caveats import caveats
from models.training.checkpoint import load_training, save_training, save_weights
from models.training.history import write_history
from models.training.method import NetMethod
from models.training.results import RunResults
from models.training.state import Training, begin
from models.training.tracking import TrackedRun, Trackers

PREDICTED_AT_ONCE = 2**14
"""Clips of a split that is not scored whose predictions are held at once."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Session:
    """What to train, on what, and where it goes."""

    method: NetMethod[Any]
    """The net and its hooks."""
    experiment: Experiment
    """Experiment whose settings were the start."""
    config: TrainConfig
    """Settings."""
    features: Path
    """Feature store."""
    annotations: Path | None = None
    """Original annotation files, if they were given."""
    folder: Path
    """Run folder."""
    fold: tuple[int, str] | None = None
    """Number of folds and the one that is tested on, in a cross-validation."""
    resume: bool = False
    """Go on from the last save."""
    save_every_s: float = 60.0
    """Least time between two saves."""
    trackers: tuple[str, ...] = ()
    """What the training tells its epochs to (`models.training.tracking`)."""


def train_or_go_on(session: Session, data: ClipSource) -> RunResults:
    """Train as one of several: with `resume` what is finished stays, what was stopped goes on.

    `UsageError` when what is finished had other settings or other clips.
    """
    folder = session.folder
    if not session.resume or (folder / runs.RESUME).is_file():
        return train(session, data)
    if not (folder / runs.RESULTS).is_file():
        return train(replace(session, resume=False), data)
    begun = runs.read_config(folder)
    runs.refuse_other_settings(folder, session.config, begun.settings)
    runs.refuse_other_features(folder, begun, data, session.method.features(session.config))
    finished = RunResults.read(folder / runs.RESULTS)
    runs.refuse_other_clips(folder, data, finished.subset_id)
    logger.info("%s is finished already", folder)
    return finished


def train(session: Session, data: ClipSource) -> RunResults:
    """Train once, score every split, write the run folder; return what `results.json` holds."""
    started = time.monotonic()
    training, trackers = fit(session, data)
    save_weights(session.folder / runs.CHECKPOINT, training.model)
    finished = write_run(session, training, started)
    trackers.finish(finished.reports)
    if parallel.rank() == 0:
        (session.folder / runs.RESUME).unlink(missing_ok=True)
    return finished


def fit(session: Session, data: ClipSource) -> tuple[Training, Trackers]:
    """Train once, or go on; return the net with the weights that are kept, and what was told.

    Settings, history and saves are in the run folder; nothing is scored but validation clips.
    """
    method, config, folder = session.method, session.config, session.folder
    resume = session.resume and not runs.stopped_before_save(folder)
    if resume and (folder / runs.RESUME).is_file():
        begun = runs.read_config(folder)
        runs.refuse_other_features(folder, begun, data, method.features(config))
    elif not resume:
        runs.forget(folder)
        _write_config(session, data)
    device = parallel.start(choose_device(config.device))
    torch.manual_seed(config.seed)
    net = method.build(config).to(device)
    training = begin(net, method.loss(config), data.to(device), config, method.card.task)
    training.before_epoch = method.before_epoch
    if resume:
        load_training(folder / runs.RESUME, training)
        _write_config(session, data)
        state = training.state
        logger.info("going on in epoch %d after step %d", state.epoch, state.step)
    else:
        method.prepare(training)
    trackers = open_trackers(session, training)
    report = reporter(folder / runs.HISTORY, trackers)
    if resume:
        write_history(folder / runs.HISTORY, training.state.history)
    loop.fit(training, saver(folder / runs.RESUME, session.save_every_s), report)
    return training, trackers


def _write_config(session: Session, data: ClipSource) -> None:
    annotations = session.annotations
    config = runs.RunConfig(
        experiment=session.experiment.name,
        model=session.method.card.name,
        settings=session.config.to_json(),
        features=str(session.features.resolve()),
        annotations=None if annotations is None else str(annotations.resolve()),
        recipe=data.manifest.data["recipe"],
        classes=tuple(data.vocabulary.names),
        fold=session.fold,
    )
    files.write_json(session.folder / runs.CONFIG, config.to_json())


def write_run(session: Session, training: Training, started: float) -> RunResults:
    """Score the trained net on every split; write predictions, results and, last, figures."""
    folder, card, task = session.folder, session.method.card, training.task
    data, config, net = training.data, training.config, training.model
    thresholds = task.fit(net, data, config)
    predictions = {
        split: task.predict(net, data, data.rows(split), config) for split in splits.evaluated(data)
    }
    reports = {
        split: task.evaluate(held, data, split, config, thresholds)
        for split, held in predictions.items()
    }
    finished = RunResults(
        experiment=session.experiment.name,
        model=card.name,
        paper=results.paper_entry(card, session.experiment),
        reports=reports,
        features=results.describe(data),
        caveats=caveats_of(session, data, config),
        thresholds=thresholds,
        kept_epoch=training.state.kept_epoch,
        history=training.state.history,
        seed=config.seed,
        seconds=round(time.monotonic() - started, 1),
    )
    if task.written_splits(data):
        written = to_write(training, predictions)
        task.write(folder / runs.PREDICTIONS, data, written, thresholds)
        for _ in written:  # where nothing is written, the processes still predict together
            pass
    finished.write(folder / runs.RESULTS)
    task.draw(folder, data, predictions, reports)
    state = training.state
    figures.save_curves(folder / "curves.png", state.history, task, state.kept_epoch, data.origin)
    return finished


def to_write(training: Training, predictions: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the predictions that are written, with their split.

    Splits that are not scored are predicted some clips at a time and never held whole: those of
    AudioSet's training clips would take 4 GB.
    """
    task, data = training.task, training.data
    for split in task.written_splits(data):
        if split in predictions:
            yield split, predictions[split]
            continue
        for rows in data.rows(split).split(PREDICTED_AT_ONCE):  # type: ignore[no-untyped-call]
            yield split, task.predict(training.model, data, rows, training.config)


def open_trackers(session: Session, training: Training) -> Trackers:
    """Open the trackers of a training, new or resumed."""
    run = TrackedRun(
        folder=session.folder,
        experiment=session.experiment.name,
        model=session.method.card.name,
        settings=training.config.to_json(),
        epochs_done=len(training.state.history),
    )
    return Trackers.open(session.trackers, run)


def reporter(path: Path, trackers: Trackers) -> Callable[[Training], None]:
    """Return the function that writes and tells the epochs that a training has behind it."""

    def report(training: Training) -> None:
        write_history(path, training.state.history)
        trackers.epoch(training.state.history[-1])

    return report


def caveats_of(session: Session, data: ClipSource, config: TrainConfig) -> tuple[str, ...]:
    """Return why the run's scores are not the paper's."""
    method = session.method
    fused = method.fused_runs(config, session.folder)
    card, experiment, fold = method.card, session.experiment, session.fold
    return tuple(caveats(data, card, experiment, config, fused=fused, fold=fold))


def saver(path: Path, every_s: float) -> Callable[[Training], None]:
    """Return the function that saves a training when the last save is old enough."""
    last = time.monotonic()

    def save(training: Training) -> None:
        nonlocal last
        state = training.state
        over = state.epoch == training.config.epochs and not state.step
        if time.monotonic() - last >= every_s and not over:
            loop.refuse_divergence(training)
            save_training(path, training)
            last = time.monotonic()

    return save
