"""Score a trained run again, weights that the authors of a model released, or detected events.

python models/evaluate.py --run runs/han-1
python models/evaluate.py --run runs/han-1 --features out/llp --split val
python models/evaluate.py --model han --weights MMIL_Net.pt --features out/llp
python models/evaluate.py --detections events.csv --dataset unav100 --annotations annotations
"""

from __future__ import annotations

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    import sys
    from os.path import dirname, realpath

    here = dirname(realpath(__file__))
    sys.path[:] = [dirname(here), *(entry for entry in sys.path if entry != here)]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import UsageError

if TYPE_CHECKING:  # torch is imported once the options are read
    from torch import nn

    from models.contract.card import Experiment, ModelCard
    from models.contract.config import TrainConfig
    from models.contract.report import Thresholds
    from models.data.source import ClipSource
    from models.training import run_folder as runs
    from models.training.method import NetMethod
    from models.training.results import Evaluation

PROGRAM = "models/evaluate.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to score, on which clips."""

    run: Path | None = None
    """Folder that the trainer left."""
    model: str | None = None
    """Model or experiment that --weights belong to."""
    weights: Path | None = None
    """File of weights that the authors released (.pt, .pth) or of any .safetensors, with the names
    of the authors' class."""
    features: Path | None = None
    """Feature store to score on; of a run by default the one that it was trained on."""
    annotations: Path | None = None
    """Folder with the original annotation files; default as in training."""
    split: str = "test"
    """Split to score."""
    detections: Path | None = None
    """events.csv of predict.py: mean average precision of its events by their overlap with the true
    ones of --dataset, as UnAV-100 is scored."""
    dataset: str = "unav100"
    """Data set whose events --detections are scored against, read from --annotations."""
    ontology: Path | None = None
    """AudioSet's `ontology.json`, for scores that know which class is a kind of which."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if options.detections is not None:
        score_events(options, options.detections)
        return
    if (options.run is None) == (options.weights is None):
        raise UsageError(
            f"say which run to score, {PROGRAM} --run DIR, or which weights, "
            f"{PROGRAM} --model NAME --weights FILE --features OUT"
        )
    if options.run is not None and options.model is not None:
        raise UsageError(f"--model goes with --weights; {options.run} says itself which it is of")
    cli.say_loading(PROGRAM)
    if options.weights is not None:
        score_weights(options, options.weights)
    else:
        score_run(options)


def score_events(options: Options, path: Path) -> None:
    """Score a file of events; print the scores and write `NAME-evaluation-SPLIT.json` beside it."""
    if options.run is not None or options.weights is not None:
        raise UsageError("--detections are scored by themselves; leave --run and --weights out")
    if options.annotations is None:
        raise UsageError(f"say where the annotation files of {options.dataset} are: --annotations")
    cli.say_loading(PROGRAM)
    from models.applications.detection_scores import score_detections

    scores, clips = score_detections(path, options.dataset, options.annotations, options.split)
    place = path.with_name(f"{path.stem}-evaluation-{options.split}.json")
    asked = {"dataset": options.dataset, "split": options.split, "clips": clips}
    files.write_json(place, asked | {"metrics": scores})
    out = console()
    for name, value in scores.items():
        title = "mean" if name == "map" else f"tIoU {name.removeprefix('map_')}"
        out.print(f"mAP {title}: {100 * value:.1f}", highlight=False)
    out.print(f"{clips} clips of split {options.split}. Written: {place}", markup=False)


def score_run(options: Options) -> None:
    """Score a run; write `evaluation-SPLIT.json` into its folder."""
    from models import registry
    from models.training import run_folder as runs
    from models.training.caveats import caveats
    from models.training.checkpoint import load_weights
    from models.training.results import RunResults

    assert options.run is not None
    config = runs.read_config(options.run)
    name, experiment = registry.find(config.experiment)
    method = registry.load(name)
    settings = with_ontology(method.config.from_json(config.settings), options)
    clips = method.derive(_clips(options, config, method, settings), settings, options.run)
    net = method.build(settings)
    load_weights(options.run / runs.CHECKPOINT, net)
    thresholds = RunResults.read(options.run / runs.RESULTS).thresholds
    fused = method.fused_runs(settings, options.run)
    reasons = caveats(clips, method.card, experiment, settings, fused=fused, fold=config.fold)
    evaluation = _evaluate(
        method, experiment, net, settings, clips, options.split, thresholds, reasons
    )
    _report(evaluation, method.card, options.run / f"evaluation-{options.split}.json")


def with_ontology(settings: TrainConfig, options: Options) -> TrainConfig:
    """Return the settings of a scoring, with the ontology that was given."""
    from models.contract.config import TaggingConfig

    if options.ontology is None:
        return settings
    if not isinstance(settings, TaggingConfig):
        raise UsageError("--ontology is for nets that tag clips; this one parses them")
    return replace(settings, ontology=str(options.ontology.resolve()))


def score_weights(options: Options, weights: Path) -> None:
    """Score a file of weights; write `NAME-evaluation-SPLIT.json` beside it."""
    from models.data.streaming.clips import open_data
    from models.training.caveats import caveats
    from models.training.released import load_released, released_model, released_settings

    model, experiment, method = released_model(options.model, weights)
    if method.derives:
        raise UsageError(f"{model} reads what other runs say; train it, and score it with --run")
    if options.features is None:
        raise UsageError(f"say on which store to score {weights}: --features OUT")
    settings = released_settings(method, experiment, weights)
    data = open_data(options.features, method.features(settings), options.annotations, settings)
    clips = method.card.task.hold_out(data)
    settings = with_ontology(replace(settings, classes=len(clips.vocabulary)), options)
    net = method.build(settings)
    load_released(weights, method.card, net, settings.classes)
    thresholds = method.card.task.fit(net, clips, settings)
    reasons = caveats(clips, method.card, experiment, settings)
    evaluation = _evaluate(
        method, experiment, net, settings, clips, options.split, thresholds, reasons
    )
    path = weights.with_name(f"{weights.stem}-evaluation-{options.split}.json")
    _report(evaluation, method.card, path)


def _evaluate(
    method: NetMethod[Any], experiment: Experiment, net: nn.Module, settings: TrainConfig,
    clips: ClipSource, split: str, thresholds: Thresholds | None, reasons: Sequence[str],
) -> Evaluation:  # fmt: skip
    """Predict a split and score it; `reasons` are its caveats."""
    from models.training import results

    task = method.card.task
    predictions = task.predict(net, clips, clips.rows(split), settings)
    return results.Evaluation(
        experiment=experiment.name,
        paper=results.paper_entry(method.card, experiment),
        reports={split: task.evaluate(predictions, clips, split, settings, thresholds)},
        features=results.describe(clips),
        caveats=tuple(reasons),
    )


def _report(evaluation: Evaluation, card: ModelCard, path: Path) -> None:
    """Write an evaluation and print it."""
    from models.training.tables import print_results

    files.write_json(path, evaluation.to_json())
    out = console()
    print_results(out, evaluation, card)
    out.print(f"Written: {path}", markup=False)


def _clips(
    options: Options, config: runs.RunConfig, method: NetMethod[Any], settings: TrainConfig
) -> ClipSource:
    """Open the store to score on, split as in the training."""
    from models.data.streaming.clips import open_data
    from models.training import run_folder as runs

    assert options.run is not None
    features = options.features or Path(str(config.features))
    annotations = options.annotations
    if annotations is None and options.features is None and config.annotations:
        annotations = Path(config.annotations)
    needs = method.features(settings)
    clips = open_data(features, needs, annotations, settings)
    runs.refuse_other_features(options.run, config, clips, needs)
    if config.fold is not None:
        return _fold(clips, *config.fold)
    held_out: ClipSource = method.card.task.hold_out(clips)
    return held_out


def _fold(clips: ClipSource, count: int, name: str) -> ClipSource:
    """Return the clips as they were split when this fold was tested on."""
    from models.data import splits

    parts = dict(splits.folds(clips, count))
    if name not in parts:
        raise UsageError(
            f"the run was tested on fold {name!r} and {clips.manifest.root} has the folds "
            f"{', '.join(parts)}; score it on the store that it was trained on"
        )
    return parts[name]


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
