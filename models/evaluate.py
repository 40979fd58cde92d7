"""Score a trained run again.

python models/evaluate.py --run runs/han-1
python models/evaluate.py --run runs/han-1 --features out/llp --split val
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

from models import registry
from models.contract.config import TrainConfig
from models.data import splits
from models.data.source import ClipSource
from models.data.streaming import open_data
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from models.training import results
from models.training import run_folder as runs
from models.training.checkpoint import load_weights
from models.training.method import NetMethod
from models.training.results import Evaluation, RunResults
from models.training.tables import print_results
from schemas import UsageError

PROGRAM = "models/evaluate.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, on which clips."""

    run: Path | None = None
    """Folder that the trainer left."""
    features: Path | None = None
    """Feature store to score on; default the one that the run was trained on."""
    annotations: Path | None = None
    """Folder with the original annotation files; default as in training."""
    split: str = "test"
    """Split to score."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if options.run is None:
        raise UsageError(f"say which run to score: {PROGRAM} --run DIR")
    config = runs.read_config(options.run)
    name, experiment = registry.find(config.experiment)
    method = registry.load(name)
    settings = method.config.from_json(config.settings)
    clips = method.derive(_clips(options, config, method, settings), settings, options.run)
    net = method.build(settings)
    load_weights(options.run / runs.CHECKPOINT, net)
    thresholds = RunResults.read(options.run / runs.RESULTS).thresholds
    task = method.card.task
    predictions = task.predict(net, clips, clips.rows(options.split), settings)
    report = task.evaluate(predictions, clips, options.split, settings, thresholds)
    evaluation = Evaluation(
        experiment=experiment.name,
        paper=results.paper_entry(method.card, experiment),
        reports={options.split: report},
        features=results.describe(clips),
        caveats=tuple(results.caveats(clips.manifest, method.card, experiment, settings)),
    )
    path = options.run / f"evaluation-{options.split}.json"
    files.write_json(path, evaluation.to_json())
    out = console()
    print_results(out, evaluation, method.card)
    out.print(f"Written: {path}", markup=False)


def _clips(
    options: Options, config: runs.RunConfig, method: NetMethod[Any], settings: TrainConfig
) -> ClipSource:
    """Open the store to score on, split as in the training."""
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
    parts = dict(splits.folds(clips, count))
    if name not in parts:
        raise UsageError(
            f"the run was tested on fold {name!r} and {clips.manifest.root} has the folds "
            f"{', '.join(parts)}; score it on the store that it was trained on"
        )
    return parts[name]


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
