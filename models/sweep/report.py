"""What a sweep found: a table, a figure, and the command of its best settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table

from models.contract.card import Experiment
from models.contract.config import TrainConfig
from models.runtime import files
from models.runtime.figures import legend_outside, literal, save, titled
from models.sweep.space import Dimension, Space
from models.sweep.study import Trial
from schemas.machine.programs import command
from schemas.page import palette

TABLE, FIGURE = "sweep.csv", "sweep.png"


def write_table(path: Path, space: Space, trials: Sequence[Trial], metric: str) -> None:
    """Write one row per trial that ended: number, settings, validation score, epoch, seconds."""
    names = [dimension.name for dimension in space]
    head = ["trial", *names, f"val_{metric}", "kept_epoch", "seconds"]
    rows = [
        [
            trial.number + 1, *(trial.values[name] for name in names),
            "diverged" if trial.score is None else trial.score, trial.kept_epoch, trial.seconds,
        ]
        for trial in trials
        if trial.ended
    ]  # fmt: skip
    files.write_csv(path, [head, *rows])


def screen_table(space: Space, trials: Sequence[Trial], metric: str) -> Table:
    """Return the trials, the best first."""
    table = Table(title="Trials, by validation score", title_justify="left")
    heads = [*(dimension.name for dimension in space), f"val_{metric}", "kept epoch", "seconds"]
    for head in ("trial", *heads):
        table.add_column(head, justify="right")
    ended = [trial for trial in trials if trial.ended]
    for trial in sorted(ended, key=_descending):
        score = "diverged" if trial.score is None else f"{trial.score:.4f}"
        values = [shown(trial.values[dimension.name]) for dimension in space]
        cells = [*values, score, str(trial.kept_epoch or ""), f"{trial.seconds:.0f}"]
        table.add_row(str(trial.number + 1), *map(escape, cells))
    return table


def _descending(trial: Trial) -> tuple[bool, float]:
    return trial.score is None, -(trial.score or 0.0)


def shown(value: Any) -> str:
    """Return a value as tables print it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plot_trials(dimension: Dimension, trials: Sequence[Trial], ax: Axes) -> Axes:
    """Draw the validation score of each trial over one setting; diverged ones at the bottom."""
    scored = [trial for trial in trials if trial.score is not None]
    lost = [trial for trial in trials if trial.ended and trial.score is None]
    names = [] if dimension.ranged else [literal(str(value)) for value in dimension.values]

    def place(trial: Trial) -> Any:
        value = trial.values[dimension.name]
        return value if dimension.ranged else dimension.values.index(value)

    scores = [trial.score or 0.0 for trial in scored]
    ax.scatter([place(one) for one in scored], scores, color=palette.SERIES[0], label="trial")
    if scored:
        best = max(scored, key=lambda one: one.score or 0.0)
        ring: Any = {"facecolors": "none", "edgecolors": palette.SERIES[1], "s": 120}
        ax.scatter([place(best)], [best.score or 0.0], label="best", **ring)
    if lost:
        floor = [min(scores, default=0.0)] * len(lost)
        options: Any = {"marker": "x", "color": palette.GREY}
        ax.scatter([place(one) for one in lost], floor, label="diverged", **options)
    if names:
        ax.set_xticks(range(len(names)), names)
    elif dimension.log:
        ax.set_xscale("log")
    ax.set_xlabel(dimension.option)
    legend_outside(ax, columns=3)
    return ax


def save_figure(
    path: Path, space: Space, trials: Sequence[Trial], metric: str, heading: tuple[str, str]
) -> None:
    """Draw one panel per setting; `heading` is the title and where the features come from."""
    figure = Figure(figsize=(5.0 * len(space) + 1.5, 4.5), layout="constrained")
    axes: Any = figure.subplots(1, len(space), squeeze=False, sharey=True)
    for ax, dimension in zip(axes[0], space, strict=True):
        plot_trials(dimension, trials, ax)
    axes[0][0].set_ylabel(f"validation {metric}")
    titled(figure, *heading)
    save(figure, path)


def command_of(
    program: str,
    experiment: Experiment,
    config: TrainConfig,
    features: Path,
    annotations: Path | None,
) -> str:
    """Return the command that trains with these settings, as it works from here."""
    words: list[object] = [experiment.name, "--features", features]
    words += [] if annotations is None else ["--annotations", annotations]
    usual = type(config).from_json(experiment.settings).to_json()
    for name, value in config.to_json().items():
        if name == "classes" or value == usual[name]:
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        else:
            words += [option, value]
    return command(program, *words)
