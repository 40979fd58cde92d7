"""Train and evaluate one model of the papers from a feature store.

python models/train.py han --features out/llp
python models/train.py han-gru --features out/llp --seeds 3
python models/train.py fayek_audio --features out/mine --folds 5
torchrun --nproc-per-node 2 -- models/train.py fayek_audio --features out/audioset
python models/train.py --list
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as `python models/train.py`: import this checkout
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]

import tyro

from models import registry
from models.contract.card import Experiment
from models.contract.config import TrainConfig
from models.data import splits
from models.data.clips import ClipData
from models.data.streaming import open_tagging
from models.runtime import command_line as cli
from models.runtime import distributed as parallel
from models.runtime import files
from models.runtime.console import console
from models.training import results
from models.training import tables as report
from models.training.session import Session, train, train_or_go_on
from schemas import UsageError

PROGRAM = "models/train.py"


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
    folds: int = 0
    """Cross-validation: train so many times, each time tested on another part of all labelled
    clips: on the store's own splits when it has so many, else on random parts."""
    resume: bool = False
    """Go on with a training that was stopped, from its last save; of several seeds or folds the
    finished ones stay."""
    save_every_s: float = 60.0
    """Save the training so that --resume can go on, at most every so many seconds."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}")
        if self.folds == 1 or self.folds < 0:
            raise ValueError(f"folds must be at least 2, or 0 for none, got {self.folds}")
        if self.folds and self.seeds > 1:
            raise ValueError(f"folds and seeds go one at a time, got {self.folds} and {self.seeds}")


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    out = console()
    if "--list" in arguments:
        if len(arguments) > 1:
            others = " ".join(word for word in arguments if word != "--list")
            raise UsageError(f"--list shows all experiments and goes alone, without {others}")
        for table in report.experiment_tables(registry.experiments().values()):
            out.print(table)
        return
    model, experiment, options, config = read_arguments(arguments)
    if options.features is None:
        raise UsageError(f"say where the features are: {PROGRAM} {experiment.name} --features OUT")
    data = clips_of(model, options.features, options, config)
    config = replace(config, classes=len(data.vocabulary))
    base = options.run or Path("runs") / experiment.name
    found = []
    for folder, own, clips, fold in parts(options, config, data, base):
        given = registry.derive(model, clips, own, folder)
        session = Session(
            model=model, experiment=experiment, config=registry.adapt(model, given, own),
            features=options.features, annotations=options.annotations, folder=folder,
            fold=fold, resume=options.resume, save_every_s=options.save_every_s,
        )  # fmt: skip
        several = options.seeds > 1 or options.folds > 0
        found.append(train_or_go_on(session, given) if several else train(session, given))
        report.print_results(out, found[-1], registry.load(model).CARD)
        out.print(f"Run folder: {folder}. Score it again: python models/evaluate.py --run {folder}")
    if len(found) > 1:
        summarise(found, base, out, "folds" if options.folds else "seeds")
    parallel.stop()


def clips_of(model: str, features: Path, options: Options, config: TrainConfig) -> ClipData:
    """Open the store; whatever speaks against training on it shows before a run folder is made."""
    needs = registry.needs(model, config)
    data = open_tagging(features, needs, options.annotations, config)
    if options.folds:
        return data
    data.rows("train")
    if registry.load(model).CARD.judge:
        data = splits.hold_out(data)
        splits.refuse_hopeless(data)
    return data


def parts(
    options: Options, config: TrainConfig, data: ClipData, base: Path
) -> Iterator[tuple[Path, TrainConfig, ClipData, tuple[int, str] | None]]:
    """Run folder, settings, clips and fold of each training: one a seed, or one a fold."""
    if options.folds:
        for name, clips in splits.folds(data, options.folds):
            yield base / f"fold-{name}", config, clips, (options.folds, name)
        return
    for seed in range(config.seed, config.seed + options.seeds):
        folder = base / str(seed) if options.seeds > 1 else options.run or Path(f"{base}-{seed}")
        yield folder, replace(config, seed=seed), data, None


def read_arguments(
    arguments: Sequence[str],
) -> tuple[str, Experiment, Options, TrainConfig]:
    """Model, experiment, options of the run, settings of the training."""
    named = [word for word in arguments[:1] if not word.startswith("-")]
    rest = [part for word in arguments[len(named) :] for part in _experiment_apart(word)]
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


def _experiment_apart(word: str) -> list[str]:
    """`--experiment=NAME` as two words, any other word as it is."""
    return word.split("=", 1) if word.startswith("--experiment=") else [word]


def summarise(found: Sequence[dict[str, Any]], base: Path, out: Any, what: str) -> None:
    """Print and write mean and spread over the seeds, or over the folds."""
    summary = {
        split: results.spread([one["metrics"][split] for one in found])
        for split in found[0]["metrics"]
    }
    for split, scores in summary.items():
        out.print(report.spread_table(split, scores, f"{len(found)} {what}"))
    seeds = [one["seed"] for one in found]
    path = base / f"{what}.json"
    files.write_json(
        path, {"experiment": found[0]["experiment"], "seeds": seeds, "metrics": summary}
    )
    out.print(f"Mean and spread: {path}")


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:], "stopped; --resume goes on from the last save"))
