"""Score a trained run again.

python models/evaluate.py --run runs/han-1
python models/evaluate.py --run runs/han-1 --features out/llp --split val
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as `python models/evaluate.py`: import this checkout
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]

from torch import nn

from models import registry
from models.contract.card import ModelCard
from models.contract.config import TrainConfig
from models.data import splits
from models.data.clips import ClipData
from models.data.streaming import open_tagging
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from models.tasks import tagging
from models.training import results
from models.training import run_folder as runs
from models.training import tables as report
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
    cli.refuse_unknown(arguments, (Options,), PROGRAM)
    options = cli.parse(Options, arguments, PROGRAM, description=__doc__)
    if options.run is None:
        raise UsageError(f"say which run to score: {PROGRAM} --run DIR")
    facts = runs.read_config(options.run)
    model, experiment = registry.find(facts["experiment"])
    module = registry.load(model)
    config = module.Config.from_json(facts["settings"])
    data = _clips(options.run, options, facts, registry.needs(model, config), config)
    if facts.get("fold"):
        data = _fold(data, *facts["fold"])
    elif module.CARD.judge:
        data = splits.hold_out(data)
    data = registry.derive(model, data, config, options.run)
    net = module.build(config)
    runs.load_weights(options.run / runs.CHECKPOINT, net)
    one = judge(options.run, net, data, options.split, config, module.CARD)
    found = {
        "experiment": experiment.name,
        "paper": results.paper_entry(module.CARD, experiment),
        **{part: {options.split: value} for part, value in one.items()},
        "features": results.describe(data),
        "subset_id": data.manifest.subset_id,
        "caveats": results.caveats(data.manifest, module.CARD, experiment, config),
    }
    path = options.run / f"evaluation-{options.split}.json"
    files.write_json(path, found)
    out = console()
    report.print_results(out, found, module.CARD)
    out.print(f"Written: {path}")


def judge(
    run: Path, net: nn.Module, data: ClipData, split: str, config: TrainConfig, card: ModelCard
) -> dict[str, Any]:
    """Everything that is reported about one split; thresholds are those of the training."""
    if not card.judge:
        return results.judge_split(net, data, split, config, card.modalities)[0]
    held = files.read_json(run / runs.RESULTS, "no finished training")
    thresholds = tagging.read_thresholds(held, config.classes)
    return tagging.judge_split(net, data, split, config, thresholds)[0]


def _fold(data: ClipData, count: int, name: str) -> ClipData:
    """The clips as they were split when this fold was tested on."""
    parts = dict(splits.folds(data, count))
    if name not in parts:
        raise UsageError(
            f"the run was tested on fold {name!r} and {data.manifest.root} has the folds "
            f"{', '.join(parts)}; score it on the store that it was trained on"
        )
    return parts[name]


def _clips(
    run: Path,
    options: Options,
    facts: dict[str, str | None],
    needs: Sequence[str],
    config: TrainConfig,
) -> ClipData:
    features = options.features or Path(str(facts["features"]))
    annotations = options.annotations
    if annotations is None and options.features is None and facts["annotations"]:
        annotations = Path(facts["annotations"])
    data = open_tagging(features, needs, annotations, config)
    runs.refuse_other_features(run, data, needs)
    return data


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
