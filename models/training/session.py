"""One training, from its settings to a run folder with everything that it leaves."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models import registry
from models.contract.card import Experiment
from models.contract.config import TrainConfig
from models.data.clips import ClipData
from models.runtime import distributed as parallel
from models.runtime import files
from models.runtime.device import choose_device
from models.tasks import tagging
from models.training import figures as plots
from models.training import loop as engine
from models.training import results
from models.training import run_folder as runs
from models.training.loop import Training

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Session:
    """What to train, on what, and where it goes."""

    model: str
    """Name of the model in the registry."""
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


def train_or_go_on(session: Session, data: ClipData) -> dict[str, Any]:
    """Train as one of several: with `resume` what is finished stays, what was stopped goes on.

    `UsageError` when what is finished had other settings or other clips.
    """
    folder = session.folder
    if not session.resume or (folder / runs.RESUME).is_file():
        return train(session, data)
    if not (folder / runs.RESULTS).is_file():
        return train(replace(session, resume=False), data)
    runs.refuse_other_settings(folder, session.config, runs.read_config(folder)["settings"])
    runs.refuse_other_features(folder, data, registry.needs(session.model, session.config))
    found = files.read_json(folder / runs.RESULTS, "no finished training")
    runs.refuse_other_clips(folder, data, found["subset_id"])
    logger.info("%s is finished already", folder)
    return found


def train(session: Session, data: ClipData) -> dict[str, Any]:
    """Train once, score every split, leave the run folder; gives what `results.json` holds."""
    started = time.monotonic()
    model, config, folder = session.model, session.config, session.folder
    module = registry.load(model)
    if session.resume and (folder / runs.RESUME).is_file():
        runs.refuse_other_features(folder, data, registry.needs(model, config))
    elif not session.resume:
        runs.forget(folder)
        _write_config(session, data)
    device = parallel.start(choose_device(config.device))
    torch.manual_seed(config.seed)
    net = module.build(config).to(device)
    card = module.CARD
    training = engine.begin(
        net, module.Loss(config), data.to(device), config, card.modalities, card.judge
    )
    training.before_epoch = registry.hook(model, "before_epoch")
    if session.resume:
        runs.load_training(folder / runs.RESUME, training)
        _write_config(session, data)
        logger.info("going on in epoch %d after step %d", training.epoch, training.step)
    else:
        registry.prepare(model, training)
    engine.fit(training, saver(folder / runs.RESUME, session.save_every_s))
    runs.save_weights(folder / runs.CHECKPOINT, net)
    found = leave(folder, training, model, session.experiment, started)
    (folder / runs.RESUME).unlink(missing_ok=True)
    return found


def _write_config(session: Session, data: ClipData) -> None:
    paths = {"features": session.features, "annotations": session.annotations}
    settings = {
        "experiment": session.experiment.name,
        "model": session.model,
        "settings": session.config.to_json(),
        **{name: path and str(path.resolve()) for name, path in paths.items()},
        "recipe": data.manifest.data["recipe"],
        "classes": list(data.vocabulary.names),
        "fold": session.fold,
    }
    files.write_json(session.folder / runs.CONFIG, settings)


def leave(
    folder: Path, training: Training, model: str, experiment: Experiment, started: float
) -> dict[str, Any]:
    """Score the trained model on every split and write results, predictions and figures."""
    card, data, config = registry.load(model).CARD, training.data, training.config
    splits, net = results.judged_splits(data), training.model
    found: dict[str, Any] = {}
    judged: dict[str, Any]
    if card.judge:
        found["thresholds"] = results.tuned_thresholds(net, data, config)
        thresholds = tagging.read_thresholds(found, config.classes)
        judged = {one: tagging.judge_split(net, data, one, config, thresholds) for one in splits}
    else:
        judged = {
            one: results.judge_split(net, data, one, config, card.modalities) for one in splits
        }
    found |= {
        "experiment": experiment.name,
        "model": model,
        "paper": results.paper_entry(card, experiment),
        "metrics": {split: one["metrics"] for split, (one, _) in judged.items()},
    }
    for part in ("floor", "intervals", "classes", "confusion"):
        found[part] = {split: one[part] for split, (one, _) in judged.items() if part in one}
    features = results.describe(data)
    found |= {
        "features": features,
        "subset_id": features["subset_id"],
        "caveats": results.caveats(data.manifest, card, experiment, config),
        "kept_epoch": training.kept_epoch,
        "history": training.history,
        "seed": config.seed,
        "seconds": round(time.monotonic() - started, 1),
    }
    predictions = {split: one for split, (_, one) in judged.items()}
    if card.judge:  # fusion learns from the scores of the training clips
        predictions["train"] = tagging.predict_tags(net, data, data.rows("train"))
    if predictions:
        draw_and_write(folder, data, predictions, found)
    plots.save_curves(folder / "curves.png", training.history)
    files.write_json(folder / runs.RESULTS, found)
    return found


def draw_and_write(
    folder: Path, data: ClipData, predictions: Mapping[str, Any], found: Mapping[str, Any]
) -> None:
    """Write the predictions of every split, and a picture of some."""
    path = folder / runs.PREDICTIONS
    if "thresholds" in found:
        thresholds = found["thresholds"]["values"]
        files.write_whole(
            path, lambda place: tagging.write_tags(place, data, predictions, thresholds)
        )
        plots.save_classes(folder / "classes.png", found["classes"])
        return
    runs.write_predictions(path, data, predictions)
    if "test" in data.dense_splits:
        plots.save_timelines(folder / "timelines.png", data, predictions["test"])
    if "test" in found["confusion"]:
        plots.save_confusion(folder / "confusion.png", found["confusion"]["test"])


def saver(path: Path, every_s: float) -> Callable[[Training], None]:
    """Make the function that saves a training when the last save is old enough."""
    last = time.monotonic()

    def save(training: Training) -> None:
        nonlocal last
        over = training.epoch == training.config.epochs and not training.step
        if time.monotonic() - last >= every_s and not over:
            runs.save_training(path, training)
            last = time.monotonic()

    return save
