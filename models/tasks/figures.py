"""Figures of predictions and scores: data and axes in, axes out.

`source` says where the features come from (`models.contract.report.origin`).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from models.contract.report import Scores
from models.metrics import PRESENCE
from models.runtime.figures import literal, titled
from schemas.page import palette

CLASSES_A_COLUMN = 66
"""Classes below each other; more make another column."""


def plot_timeline(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], names: Sequence[str], ax: Axes
) -> Axes:
    """Draw decisions [T, C] over a clip, truth above prediction, for the classes of either."""
    shown = np.flatnonzero(predicted.any(axis=0) | truth.any(axis=0)).tolist()
    for line, column in enumerate(shown):
        for mask, height, colour in (
            (truth, line + 0.05, palette.TRUTH),
            (predicted, line + 0.5, palette.PREDICTION),
        ):
            seconds = [(int(second), 1) for second in np.flatnonzero(mask[:, column])]
            ax.broken_barh(seconds, (height, 0.4), facecolors=colour)
    ax.set_xlim(0, len(truth))
    ax.set_ylim(max(3, len(shown)), 0)
    ax.set_yticks(np.arange(len(shown)) + 0.5, [literal(names[column]) for column in shown])
    ax.set_xticks(range(0, len(truth) + 1, math.ceil(len(truth) / 10)))
    return ax


def timelines(
    keys: Sequence[str],
    predicted: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    names: Sequence[str],
    source: str,
) -> Figure:
    """Return a figure of decisions and truth [n, 2, T, C] of clips, audio left, visual right."""
    figure = Figure(figsize=(12, 1.2 + 2.2 * len(keys)), layout="constrained")
    axes: Any = figure.subplots(len(keys), 2, squeeze=False)
    for line, key in enumerate(keys):
        for column, side in enumerate(("audio", "visual")):
            ax = axes[line][column]
            plot_timeline(predicted[line, column], truth[line, column], names, ax)
            ax.set_title(f"{literal(key)}: {side}", fontsize="medium")
    for ax in axes[-1]:
        ax.set_xlabel("seconds")
    kinds = (("truth", palette.TRUTH), ("prediction", palette.PREDICTION))
    handles = [Patch(color=colour, label=label) for label, colour in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    titled(figure, "events of test clips, second by second", source)
    return figure


def plot_confusion(counts: Sequence[Sequence[int]], ax: Axes) -> Axes:
    """Draw counts [4, 4] of `modality_confusion`: the colour is the share of its row."""
    table = np.asarray(counts)
    share = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    ax.imshow(share, cmap=palette.SHARE, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = f"{count:,}\n{share[row, column]:.0%}"
        ax.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    ax.set_xticks(range(len(PRESENCE)), PRESENCE)
    ax.set_yticks(range(len(PRESENCE)), PRESENCE)
    ax.set_xlabel("found in")
    ax.set_ylabel("truly in")
    return ax


def plot_classes(scores: Mapping[str, Scores], names: Sequence[str], ax: Axes) -> Axes:
    """Draw scores from 0 to 1 of some classes as dots, a row per class, the first class on top.

    `scores` maps what a dot is to class name to value; no dot where a score is not defined.
    """
    places = np.arange(len(names))
    ax.hlines(places, 0, 1, color=palette.GREY, alpha=0.25, linewidth=0.6)
    marks = zip(scores.items(), palette.SERIES, "oD^sv<>", strict=False)
    for (label, values), colour, mark in marks:
        height = np.array([math.nan if values[name] is None else values[name] for name in names])
        ax.plot(height, places, mark, color=colour, markersize=4.5, label=label, clip_on=False)
    ax.set_yticks(places, [literal(name, 36) for name in names], fontsize=7)
    ax.set_xlim(0, 1)
    ax.set_ylim(len(names) - 0.5, -0.5)
    return ax


def class_scores(classes: Mapping[str, Scores], split: str, source: str) -> Figure:
    """Return a figure of F1 and average precision of each class of a split, best AP first."""
    shown = {"F1": classes["f1"], "average precision": classes["ap"]}
    ranked = sorted(classes["ap"], key=lambda name: -(classes["ap"][name] or 0.0))
    columns = math.ceil(len(ranked) / CLASSES_A_COLUMN)
    each = math.ceil(len(ranked) / columns)
    size = (1 + 4.5 * columns, 1.6 + 0.19 * each)
    figure = Figure(figsize=(max(7, size[0]), max(3, size[1])), layout="constrained")
    axes: Any = figure.subplots(1, columns, squeeze=False)
    for column, ax in enumerate(axes[0]):
        plot_classes(shown, ranked[column * each : (column + 1) * each], ax)
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False
    )
    undefined = sum(value is None for value in classes["ap"].values())
    without = f"; {undefined} without a clip, or with nothing else" if undefined else ""
    titled(figure, f"classes of split {split}, {len(ranked)} in all{without}", source)
    return figure


def confusion_table(counts: Sequence[Sequence[int]], source: str) -> Figure:
    """Return a figure of the confusion between the modalities, in seconds of classes."""
    figure = Figure(figsize=(6.5, 5), layout="constrained")
    ax = figure.subplots()
    plot_confusion(counts, ax)
    figure.colorbar(ax.images[0], ax=ax, label="share of the row")
    titled(figure, "seconds of classes, test clips", source)
    return figure
