"""Figures of a training: data and axes in, axes out."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.contract.task import Task
from models.runtime.figures import legend_outside, save, titled, whole_numbers
from schemas.page import palette

SCHEDULE = ("epoch", "rate")
"""Columns of a history that are no loss terms."""

History = Sequence[dict[str, float]]


def plot_history(history: History, names: Sequence[str], kept_epoch: int, ax: Axes) -> Axes:
    """Draw some columns of a training's history over its epochs, with the epoch that is kept."""
    epochs = [line["epoch"] for line in history]
    if kept_epoch:
        label = f"kept: epoch {kept_epoch}"
        ax.axvline(kept_epoch, color=palette.GREY, linestyle="--", linewidth=1, label=label)
    for place, name in enumerate(names):
        values = [line.get(name, math.nan) for line in history]
        colour = palette.SERIES[place % len(palette.SERIES)]
        ax.plot(epochs, values, marker=".", color=colour, label=name)
    ax.set_xlabel("epoch")
    whole_numbers(ax, "x")
    legend_outside(ax, columns=2)
    return ax


def save_curves(
    path: Path, history: History, task: Task[Any, Any], kept_epoch: int, source: str
) -> None:
    """Draw loss terms and, where there are any, validation scores over the epochs.

    `source` says where the features come from (`models.contract.report.origin`).
    """
    groups = [(loss_terms(history), "loss")]
    scores = validation_scores(history, task)
    groups += [(scores, task.unit)] if scores else []
    figure = Figure(figsize=(6.5 * len(groups), 5), layout="constrained")
    axes: Any = figure.subplots(1, len(groups), squeeze=False)
    for ax, (names, unit) in zip(axes[0], groups, strict=True):
        plot_history(history, names, kept_epoch, ax).set_ylabel(unit)
    titled(figure, "loss and validation scores over the epochs", source)
    save(figure, path)


def loss_terms(history: History) -> list[str]:
    """Return the columns of a history that are terms of the loss."""
    names = dict.fromkeys(name for line in history for name in line)
    others = ("val_", "weight_")
    return [name for name in names if not name.startswith(others) and name not in SCHEDULE]


def validation_scores(history: History, task: Task[Any, Any]) -> list[str]:
    """Return the columns of a history that are validation scores the task draws."""
    names = {name for line in history for name in line}
    return [f"val_{name}" for name in task.curves if f"val_{name}" in names]
