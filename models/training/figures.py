"""Figures of a training: data and axes in, axes out."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.contract.task import Task
from models.runtime.figures import save

SCHEDULE = ("epoch", "rate")
"""Columns of a history that are no loss terms."""


def plot_history(history: Sequence[dict[str, float]], names: Sequence[str], ax: Axes) -> Axes:
    """Draw some columns of a training's history over its epochs."""
    epochs = [line["epoch"] for line in history]
    for name in names:
        ax.plot(epochs, [line.get(name, math.nan) for line in history], marker=".", label=name)
    ax.set_xlabel("epoch")
    ax.legend(fontsize="small")
    return ax


def save_curves(path: Path, history: Sequence[dict[str, float]], task: Task[Any, Any]) -> None:
    """Draw loss terms and, where there are any, validation scores over the epochs."""
    first = history[0]
    scores = [f"val_{name}" for name in task.curves if f"val_{name}" in first]
    terms = [name for name in first if not name.startswith("val_") and name not in SCHEDULE]
    groups = [(terms, "loss")] + ([(scores, task.unit)] if scores else [])
    figure = Figure(figsize=(6 * len(groups), 4), layout="constrained")
    axes: Any = figure.subplots(1, len(groups), squeeze=False)
    for ax, (names, unit) in zip(axes[0], groups, strict=True):
        plot_history(history, names, ax).set_ylabel(unit)
    save(figure, path)
