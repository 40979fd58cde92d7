"""Train and evaluate one model of the papers from a feature store.

python models/train.py han --features out/llp
python models/train.py han-gru --features out/llp --seeds 3
python models/train.py fayek_audio --features out/mine --folds 5
python models/train.py fayek_audio --features out/mine --sweep learning-rate=1e-5..1e-3
torchrun --nproc-per-node 2 -- models/train.py fayek_audio --features out/audioset
python models/train.py --list
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from models import net_index, registry
from models.contract.bounds import AtLeast, Size, ZeroOr, check
from models.contract.card import Experiment
from models.runtime import command_line as cli
from models.runtime import experiment_list, files
from models.runtime.console import console
from schemas import UsageError
from schemas.machine.programs import command
from schemas.settings.command_line import asks_for_help
from schemas.settings.help import names_of, options_of

if TYPE_CHECKING:  # torch is imported once the options are read
    from models.contract.config import TrainConfig
    from models.contract.task import Task
    from models.data.source import ClipSource
    from models.training.method import NetMethod
    from models.training.results import RunResults
    from models.training.session import Session

PROGRAM = "models/train.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the data is and where the run goes."""

    features: Path | None = None
    """Folder of the feature store (OUT of the features job)."""
    annotations: Path | None = None
    """Folder with the original annotation files; their dense truth replaces the store's."""
    subset: Path | None = None
    """Only the clips of a subset file, one key a line (beam coverage --write makes one)."""
    run: Path | None = None
    """Folder that the run is written to; default runs/<experiment>-<seed>, or the next free folder
    beside it."""
    experiment: str | None = None
    """Experiment of --list that fixes the settings; options given beside it win."""
    seeds: Size = 1
    """Number of trainings, with seed, seed + 1, ...; mean and standard deviation at the end."""
    folds: Annotated[int, ZeroOr(2)] = 0
    """Cross-validation: train so many times, each time tested on another part of all labelled
    clips: on the store's own splits when it has so many, else on random parts."""
    fold: str = ""
    """Test on this one of --folds alone, such as 1."""
    resume: bool = False
    """Go on with a training that was stopped, from its last save; of several seeds or folds the
    finished ones stay."""
    sweep: tuple[str, ...] = ()
    """Settings to search on the validation clips, such as learning-rate=1e-5..1e-3 or
    batch-size=16,32; several go together. The best are trained with at the end (docs/sweep.md)."""
    trials: Size = 12
    """Trainings of --sweep at most; lists alone end with their last combination."""
    overwrite: bool = False
    """Replace a finished run in the --run folder."""
    save_every_s: Annotated[float, AtLeast(0)] = 60.0
    """Save the training so that --resume can go on, at most every so many seconds."""
    tensorboard: bool = False
    """Write event files for TensorBoard into the run folder; the same as --track tensorboard."""
    track: tuple[str, ...] = ()
    """Trackers that hear of every epoch: tensorboard, wandb, mlflow, or module:function of yours
    (docs/tracking.md)."""

    def __post_init__(self) -> None:
        check(self)
        if self.folds and self.seeds > 1:
            raise ValueError(f"folds and seeds go one at a time, got {self.folds} and {self.seeds}")
        if self.fold and not self.folds:
            raise ValueError("fold names one of the folds, so say how many there are: --folds 5")
        if self.folds and self.subset is not None:
            raise ValueError(
                "folds are dealt out of all clips of a store, so folds and subset go one at a "
                "time; make a store of the subset's clips with beam run features --subset, and "
                "give that"
            )
        if self.sweep and (self.folds or self.seeds > 1):
            raise ValueError("sweep goes without folds and seeds; give them the best settings")
        if self.resume and self.overwrite:
            raise ValueError("resume goes on and overwrite starts anew; give one of them")

    @property
    def trackers(self) -> tuple[str, ...]:
        """Trackers by name, each once."""
        return tuple(dict.fromkeys([*["tensorboard"] * self.tensorboard, *self.track]))


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    cli.show_version(arguments)
    out = console()
    if "--list" in arguments:
        if len(arguments) > 1:
            others = " ".join(word for word in arguments if word != "--list")
            raise UsageError(f"--list shows all experiments and goes alone, without {others}")
        for table in experiment_list.tables(map(net_index.entry, registry.MODELS)):
            out.print(table)
        return
    method, experiment, options, config = read_arguments(arguments)
    if options.features is None:
        raise UsageError(f"say where the features are: {PROGRAM} {experiment.name} --features OUT")
    train_all(method, experiment, options, config)


def train_all(
    method: NetMethod[Any], experiment: Experiment, options: Options, config: TrainConfig
) -> None:
    """Train once, or once per seed or fold, and print the scores."""
    from models.data.label_files import with_whole_paths
    from models.pages.compare_page import compare_after_trainings
    from models.runtime import distributed as parallel
    from models.runtime.device import choose_device
    from models.training import run_folder as runs
    from models.training import tracking

    tracking.check(options.trackers)
    assert options.features is not None
    data = open_store(method, options.features, options, config)
    config = with_whole_paths(replace(config, classes=len(data.vocabulary)))
    parallel.start(choose_device(config.device))
    base = run_folder_of(options, experiment, config)
    if options.sweep:
        sweep_and_train(method, experiment, options, config, data, base)
        parallel.stop()
        return
    planned = list(planned_runs(options, config, data, base))
    if not options.overwrite and not options.resume:
        for run in planned:
            runs.refuse_finished(run.folder)
    finished = []
    for run in planned:
        finished.append(train_planned(run, method, experiment, options))
        print_run(finished[-1], run.folder, method)
    if len(finished) > 1:
        over = "folds" if options.folds else "seeds"
        summarise(finished, base / f"{over}.json", method.card.task, over)
        compare_after_trainings([run.folder for run in planned], base)
    parallel.stop()


def print_run(finished: RunResults, folder: Path, method: NetMethod[Any]) -> None:
    """Print the scores of a run and where it is."""
    from models.training import run_folder as runs
    from models.training import tables

    out = console()
    tables.print_results(out, finished, method.card)
    out.print(f"Page: {folder / runs.REPORT}", markup=False)
    again = command("models/evaluate.py", "--run", folder)
    out.print(f"Run folder: {folder}. Score it again: {again}", soft_wrap=True)


def sweep_and_train(
    method: NetMethod[Any],
    experiment: Experiment,
    options: Options,
    config: TrainConfig,
    data: ClipSource,
    base: Path,
) -> None:
    """Search settings on the validation clips, then train with the best ones into BASE/best."""
    from models.sweep import trials
    from models.sweep.report import FIGURE, TABLE, command_of
    from models.sweep.space import read_space
    from models.training import run_folder as runs

    space = read_space(options.sweep, config)
    if options.overwrite:
        trials.forget(base)
    elif not options.resume:
        trials.refuse_begun(base)
    session = session_of(PlannedRun(base, config, data), method, experiment, options)
    sweep = trials.Sweep(session=session, space=space, most=options.trials)
    with runs.held(base):
        best = trials.search(sweep, data)
    out = console()
    again = command_of(PROGRAM, experiment, best, session.features, session.annotations)
    out.print(f"Table: {base / TABLE}. Figure: {base / FIGURE}", markup=False)
    out.print(f"Train with the best settings: {again}", markup=False, soft_wrap=True)
    run = PlannedRun(base / trials.BEST, best, data)
    names = [dimension.name for dimension in space]
    resumed = options.resume and runs.has_settings(run.folder, best, names)
    finished = train_planned(run, method, experiment, replace(options, resume=resumed))
    print_run(finished, run.folder, method)


def run_folder_of(options: Options, experiment: Experiment, config: TrainConfig) -> Path:
    """Return the folder of the run, or of all seeds or folds: the one that was given, or a new one.

    With `--resume` and without `--run` it is the one that was made last.
    """
    from models.training import run_folder as runs

    if options.run is not None:
        return options.run
    several = options.seeds > 1 or options.folds > 0
    name = experiment.name if several else f"{experiment.name}-{config.seed}"
    base = Path("runs") / (f"{experiment.name}-sweep" if options.sweep else name)
    return runs.last_folder(base) if options.resume else runs.free_folder(base)


def open_store(
    method: NetMethod[Any], features: Path, options: Options, config: TrainConfig
) -> ClipSource:
    """Open the store; whatever speaks against training on it shows before a run folder is made."""
    from models.data.label_files import with_label_quality
    from models.data.splits import only
    from models.data.streaming.clips import open_data
    from schemas.manifests.subset import read_subset

    data = open_data(features, method.features(config), options.annotations, config)
    data = with_label_quality(data, config)
    if options.subset is not None:
        data = only(data, read_subset(options.subset))
    if method.pseudo_labels:
        from models.data.pseudo_labels import read_pseudo_labels

        data = replace(data, pseudo_labels=read_pseudo_labels(data))
    if options.folds:
        return data
    data.rows("train")
    held_out: ClipSource = method.card.task.hold_out(data)
    method.card.task.check(held_out)
    return held_out


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """One training of several: of a seed, or of a fold."""

    folder: Path
    config: TrainConfig
    clips: ClipSource
    fold: tuple[int, str] | None = None


def train_planned(
    run: PlannedRun, method: NetMethod[Any], experiment: Experiment, options: Options
) -> RunResults:
    """Train one run, or go on with it; write its page."""
    from models.pages.run_page import write_after_training
    from models.training import run_folder as runs
    from models.training.session import train, train_or_go_on

    several = options.seeds > 1 or options.folds > 0 or bool(options.sweep)
    with runs.held(run.folder):
        clips = method.derive(run.clips, run.config, run.folder)
        method.check(run.config, clips)
        session = session_of(run, method, experiment, options)
        session = replace(session, config=method.adapt(run.config, clips))
        go_on = several or (options.resume and runs.unreported(run.folder))
        results = train_or_go_on(session, clips) if go_on else train(session, clips)
        write_after_training(run.folder, clips)
    return results


def session_of(
    run: PlannedRun, method: NetMethod[Any], experiment: Experiment, options: Options
) -> Session:
    """Return what to train, on what, and where it goes."""
    from models.training.session import Session

    return Session(
        method=method, experiment=experiment, config=run.config,
        features=options.features or Path(), annotations=options.annotations,
        folder=run.folder, fold=run.fold, resume=options.resume,
        save_every_s=options.save_every_s, trackers=options.trackers,
    )  # fmt: skip


def planned_runs(
    options: Options, config: TrainConfig, data: ClipSource, base: Path
) -> Iterator[PlannedRun]:
    """Yield the trainings: one per seed, or one per fold."""
    if options.folds:
        from models.data import splits

        parts = dict(splits.folds(data, options.folds))
        if options.fold and options.fold not in parts:
            raise UsageError(
                f"{data.manifest.root} has no fold {options.fold!r}; its folds are "
                f"{', '.join(parts)}"
            )
        for name in [options.fold] if options.fold else parts:
            yield PlannedRun(base / f"fold-{name}", config, parts[name], (options.folds, name))
        return
    for seed in range(config.seed, config.seed + options.seeds):
        folder = base / str(seed) if options.seeds > 1 else base
        yield PlannedRun(folder, replace(config, seed=seed), data)


def read_arguments(
    arguments: Sequence[str],
) -> tuple[NetMethod[Any], Experiment, Options, TrainConfig]:
    """Return the net, the experiment, the options of the run and the settings of the training."""
    named = [word for word in arguments[:1] if not word.startswith("-")]
    rest = [part for word in arguments[len(named) :] for part in _experiment_apart(word)]
    chosen = named[0] if named else ""
    if "--experiment" in rest[:-1]:
        chosen = rest[rest.index("--experiment") + 1]
    options = options_of(Options, group="the run")
    if not chosen and asks_for_help(rest):
        cli.show_help(f"{PROGRAM} MODEL", __doc__, options)
        raise SystemExit(0)
    if not chosen:
        cli.refuse_other_words(rest, names_of(options) | {"--list", "--version"}, PROGRAM)
        known = ", ".join(registry.MODELS)
        raise UsageError(f"say which model to train ({known}), or --list for all experiments")
    try:
        net, experiment = net_index.find(chosen)
        if named and net_index.find(named[0])[0].name != net.name:
            raise UsageError(
                f"experiment {chosen!r} belongs to model {net.name!r}, not {named[0]!r}"
            )
    except LookupError as error:
        raise UsageError(str(error)) from None
    options += net.options_for(experiment)
    program = f"{PROGRAM} {experiment.name}"
    if asks_for_help(rest):
        cli.show_help(program, net.description, options)
        raise SystemExit(0)
    cli.refuse_other_words(rest, names_of(options), program)
    cli.say_loading(PROGRAM)
    return _parse(net.name, experiment.name, rest, program)


def _parse(
    model: str, chosen: str, rest: Sequence[str], program: str
) -> tuple[NetMethod[Any], Experiment, Options, TrainConfig]:
    """Read the options of the run, and with the net's own class those of the training."""
    method = registry.load(model)
    experiment = next(one for one in method.card.experiments if one.name == chosen)
    kind = method.config
    flat = tyro.conf.OmitArgPrefixes
    both: Any = make_dataclass("Arguments", [("options", flat[Options]), ("config", flat[kind])])
    default = both(options=Options(), config=kind.from_json(experiment.settings))
    read = cli.parse(both, rest, program, default=default)
    return method, experiment, read.options, read.config


def _experiment_apart(word: str) -> list[str]:
    """Split `--experiment=NAME` into two words; keep any other word."""
    return word.split("=", 1) if word.startswith("--experiment=") else [word]


def summarise(finished: Sequence[RunResults], path: Path, task: Task[Any, Any], over: str) -> None:
    """Print and write mean and standard deviation over the seeds, or over the folds."""
    from models.training import results, tables

    out = console()
    summary = {
        split: results.spread([run.reports[split].metrics for run in finished])
        for split in finished[0].reports
    }
    for split, spread in summary.items():
        out.print(tables.spread_table(task, split, spread, f"{len(finished)} {over}"))
    seeds = [run.seed for run in finished]
    files.write_json(
        path, {"experiment": finished[0].experiment, "seeds": seeds, "metrics": summary}
    )
    out.print(f"Mean and spread: {path}", markup=False)


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:], "stopped; --resume goes on from the last save"))
