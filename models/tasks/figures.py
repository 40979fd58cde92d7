"""Figures of predictions and scores: data and axes in, axes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.contract.report import Scores
from models.metrics import PRESENCE
from models.runtime.figures import literal

TRUTH_COLOUR, PREDICTION_COLOUR = "#2a6f97", "#e07a1f"


def plot_timeline(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], names: Sequence[str], ax: Axes
) -> Axes:
    """Draw decisions [T, C] over a clip, truth above prediction, for the classes of either."""
    shown = np.flatnonzero(predicted.any(axis=0) | truth.any(axis=0)).tolist()
    for line, column in enumerate(shown):
        for mask, height, colour in (
            (truth, line + 0.05, TRUTH_COLOUR),
            (predicted, line + 0.5, PREDICTION_COLOUR),
        ):
            seconds = [(int(second), 1) for second in np.flatnonzero(mask[:, column])]
            ax.broken_barh(seconds, (height, 0.4), facecolors=colour)
    ax.set_xlim(0, len(truth))
    ax.set_ylim(max(3, len(shown)), 0)
    ax.set_yticks(np.arange(len(shown)) + 0.5, [literal(names[column]) for column in shown])
    ax.set_xticks(range(0, len(truth) + 1, 2))
    return ax


def timelines(
    keys: Sequence[str],
    predicted: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    names: Sequence[str],
) -> Figure:
    """Return a figure of decisions and truth [n, 2, T, C] of clips, audio left, visual right."""
    figure = Figure(figsize=(12, 0.4 + 2.2 * len(keys)), layout="constrained")
    axes: Any = figure.subplots(len(keys), 2, squeeze=False)
    for line, key in enumerate(keys):
        for column, side in enumerate(("audio", "visual")):
            ax = axes[line][column]
            plot_timeline(predicted[line, column], truth[line, column], names, ax)
            ax.set_title(f"{literal(key)}: {side}", fontsize="medium")
    axes[-1][0].set_xlabel("seconds; blue: truth, orange: prediction")
    return figure


def plot_confusion(counts: Sequence[Sequence[int]], ax: Axes) -> Axes:
    """Draw counts [4, 4] of `modality_confusion`: the colour is the share of its row."""
    table = np.asarray(counts)
    share = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = f"{count:,}\n{share[row, column]:.0%}"
        ax.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    ax.set_xticks(range(len(PRESENCE)), PRESENCE)
    ax.set_yticks(range(len(PRESENCE)), PRESENCE)
    ax.set_xlabel("found in")
    ax.set_ylabel("truly in")
    return ax


def plot_classes(scores: Scores, ax: Axes) -> Axes:
    """Draw one bar per class, the first class on top; no bar where a score is not defined."""
    places = np.arange(len(scores))
    ax.barh(places, [score or 0.0 for score in scores.values()], color=PREDICTION_COLOUR)
    ax.set_yticks(places, [literal(name) for name in scores])
    ax.set_xlim(0, 1)
    ax.invert_yaxis()
    return ax


def class_bars(classes: Mapping[str, Scores], split: str) -> Figure:
    """Return a figure of F1 and average precision of each class of a split."""
    figure = Figure(figsize=(10, 1 + 0.25 * len(classes["f1"])), layout="constrained")
    axes: Any = figure.subplots(1, 2)
    for ax, (name, words) in zip(axes, (("f1", "F1"), ("ap", "average precision")), strict=True):
        plot_classes(classes[name], ax).set_xlabel(f"{words}, split {literal(split)}")
    return figure


def confusion_table(counts: Sequence[Sequence[int]]) -> Figure:
    """Return a figure of the confusion between the modalities, in seconds of classes."""
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    ax = figure.subplots()
    plot_confusion(counts, ax).set_title("seconds of classes, test clips", fontsize="medium")
    return figure
