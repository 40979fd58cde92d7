"""Train and evaluate one model of the papers from a feature store.

python models/train.py han --features out/llp
python models/train.py han-gru --features out/llp --seeds 3
python models/train.py --list
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as `python models/train.py`: import this checkout
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]

import torch
import tyro

from models import cli, engine, parallel, plots, registry, report, results, runs, tagging
from models.base import Experiment, TrainConfig
from models.data import ClipData, open_clips
from models.engine import Training
from schemas import UsageError

PROGRAM = "models/train.py"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the data is and where the run goes."""

    features: Path | None = None
    """Folder of the feature store (OUT of the features job)."""
    annotations: Path | None = None
    """Folder with the original annotation files; their dense truth replaces the store's."""
    run: Path | None = None
    """Folder for what the run leaves; default runs/<experiment>-<seed>."""
    experiment: str | None = None
    """Experiment of --list that fixes the settings; options given beside it win."""
    seeds: int = 1
    """Train so many times with seed, seed + 1, ...; mean and spread at the end."""
    resume: bool = False
    """Go on with a training that was stopped, from its last save."""
    save_every_s: float = 60.0
    """Save the training so that --resume can go on, at most every so many seconds."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}")


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    out = report.console()
    if "--list" in arguments:
        for table in report.experiment_tables(registry.experiments().values()):
            out.print(table)
        return
    model, experiment, options, config = read_arguments(arguments)
    if options.features is None:
        raise UsageError(f"say where the features are: {PROGRAM} {experiment.name} --features OUT")
    card = registry.load(model).CARD
    data = open_clips(options.features, registry.needs(model, config), options.annotations)
    data.rows("train")  # say so before a run folder is made when there is nothing to train on
    config = replace(config, classes=len(data.vocabulary))
    base = options.run or Path("runs") / experiment.name
    found = []
    for seed in range(config.seed, config.seed + options.seeds):
        folder = base / str(seed) if options.seeds > 1 else options.run or Path(f"{base}-{seed}")
        own = replace(config, seed=seed)
        given = registry.derive(model, data, own, folder)
        fitted = registry.adapt(model, given, own)
        one = train_one(model, experiment, options, fitted, given, folder)
        report.print_results(out, one, card)
        out.print(f"Run folder: {folder}. Score it again: python models/evaluate.py --run {folder}")
        found.append(one)
    if options.seeds > 1:
        summarise(found, base, out)


def read_arguments(
    arguments: Sequence[str],
) -> tuple[str, Experiment, Options, TrainConfig]:
    """Model, experiment, options of the run, settings of the training."""
    named = [word for word in arguments[:1] if not word.startswith("-")]
    rest = list(arguments[len(named) :])
    chosen = named[0] if named else ""
    if "--experiment" in rest[:-1]:
        chosen = rest[rest.index("--experiment") + 1]
    if not chosen and {"--help", "-h"} & set(rest):
        cli.parse(Options, ["--help"], f"{PROGRAM} MODEL", description=__doc__)
    if not chosen:
        known = ", ".join(registry.MODELS)
        raise UsageError(f"say which model to train ({known}), or --list for all experiments")
    try:
        model, experiment = registry.find(chosen)
        if named and registry.find(named[0])[0] != model:
            raise UsageError(f"experiment {chosen!r} belongs to model {model!r}, not {named[0]!r}")
    except LookupError as error:
        raise UsageError(str(error)) from None
    kind = registry.load(model).Config
    cli.refuse_unknown(rest, (Options, kind), f"{PROGRAM} {model}")
    flat = tyro.conf.OmitArgPrefixes
    both: Any = make_dataclass("Arguments", [("options", flat[Options]), ("config", flat[kind])])
    default = both(options=Options(), config=kind.from_json(experiment.settings))
    read = cli.parse(both, rest, f"{PROGRAM} {model}", default=default)
    return model, experiment, read.options, read.config


def train_one(
    model: str,
    experiment: Experiment,
    options: Options,
    config: TrainConfig,
    data: ClipData,
    folder: Path,
) -> dict[str, Any]:
    """Train once, score every split, leave the run folder; gives what `results.json` holds."""
    started = time.monotonic()
    module = registry.load(model)
    settings = {"experiment": experiment.name, "model": model, "settings": config.to_json()}
    paths = {"features": options.features, "annotations": options.annotations}
    origin = {"recipe": data.manifest.data["recipe"], "classes": list(data.vocabulary.names)}
    runs.write_json(
        folder / runs.CONFIG,
        settings | {name: path and str(path.resolve()) for name, path in paths.items()} | origin,
    )
    device = parallel.start(_device(config))
    torch.manual_seed(config.seed)
    net = module.build(config).to(device)
    card = module.CARD
    training = engine.begin(
        net, module.Loss(config), data.to(device), config, card.modalities, card.judge
    )
    training.before_epoch = registry.hook(model, "before_epoch")
    if options.resume:
        runs.load_training(folder / runs.RESUME, training)
        logger.info("going on in epoch %d after step %d", training.epoch, training.step)
    else:
        registry.prepare(model, training)
    engine.fit(training, saver(folder / runs.RESUME, options.save_every_s))
    (folder / runs.RESUME).unlink(missing_ok=True)
    runs.save_weights(folder / runs.CHECKPOINT, net)
    return leave(folder, training, model, experiment, started)


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
    for part in ("floor", "intervals", "classes"):
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
    if judged:
        draw_and_write(folder, data, predictions, found)
    plots.save_curves(folder / "curves.png", training.history)
    runs.write_json(folder / runs.RESULTS, found)
    return found


def draw_and_write(
    folder: Path, data: ClipData, predictions: Mapping[str, Any], found: Mapping[str, Any]
) -> None:
    """Write the predictions of every split, and a picture of some."""
    path = folder / runs.PREDICTIONS
    if "thresholds" in found:
        thresholds = found["thresholds"]["values"]
        runs.write_whole(
            path, lambda place: tagging.write_tags(place, data, predictions, thresholds)
        )
        plots.save_classes(folder / "classes.png", found["classes"])
        return
    runs.write_predictions(path, data, predictions)
    if "test" in data.dense_splits:
        plots.save_timelines(folder / "timelines.png", data, predictions["test"])


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


def summarise(found: Sequence[dict[str, Any]], base: Path, out: Any) -> None:
    """Print and write mean and spread over the seeds."""
    summary = {
        split: results.spread([one["metrics"][split] for one in found])
        for split in found[0]["metrics"]
    }
    for split, scores in summary.items():
        out.print(report.spread_table(split, scores, len(found)))
    seeds = [one["seed"] for one in found]
    runs.write_json(
        base / "seeds.json",
        {"experiment": found[0]["experiment"], "seeds": seeds, "metrics": summary},
    )
    out.print(f"Mean and spread: {base / 'seeds.json'}")


def _device(config: TrainConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda was asked for and this machine has none; leave it out")
    return torch.device(config.device)


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
