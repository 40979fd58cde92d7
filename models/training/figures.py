"""Figures of a run: data and axes in, axes out."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.data.clips import ClipData
from models.metrics import PRESENCE
from models.runtime import files
from models.tasks.parsing import Predictions
from schemas.messages import printable

TRUTH_COLOUR, FOUND_COLOUR = "#2a6f97", "#e07a1f"


def plot_history(history: Sequence[dict[str, float]], names: Sequence[str], ax: Axes) -> Axes:
    """Draw some columns of a training's history over its epochs."""
    epochs = [line["epoch"] for line in history]
    for name in names:
        ax.plot(epochs, [line[name] for line in history], marker=".", label=name)
    ax.set_xlabel("epoch")
    ax.legend(fontsize="small")
    return ax


def plot_timeline(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_], names: Sequence[str], ax: Axes
) -> Axes:
    """Draw decisions [T, C] over a clip, truth above prediction, for the classes of either."""
    shown = np.flatnonzero(predicted.any(axis=0) | truth.any(axis=0)).tolist()
    for line, column in enumerate(shown):
        for mask, height, colour in (
            (truth, line + 0.05, TRUTH_COLOUR),
            (predicted, line + 0.5, FOUND_COLOUR),
        ):
            seconds = [(int(second), 1) for second in np.flatnonzero(mask[:, column])]
            ax.broken_barh(seconds, (height, 0.4), facecolors=colour)
    ax.set_xlim(0, len(truth))
    ax.set_ylim(max(3, len(shown)), 0)
    ax.set_yticks(np.arange(len(shown)) + 0.5, [literal(names[column]) for column in shown])
    ax.set_xticks(range(0, len(truth) + 1, 2))
    return ax


def save_curves(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Loss terms and, where there are any, validation scores over the epochs."""
    scores = [name for name in history[0] if name.startswith(("val_segment_", "val_m"))]
    unit = "fraction" if scores and scores[0].startswith("val_m") else "F, per cent"
    terms = [name for name in history[0] if not name.startswith(("val_", "epoch", "rate"))]
    groups = [(terms, "loss")] + ([(scores, unit)] if scores else [])
    figure = Figure(figsize=(6 * len(groups), 4), layout="constrained")
    for ax, (names, label) in zip(_row(figure, len(groups)), groups, strict=True):
        plot_history(history, names, ax).set_ylabel(label)
    save(figure, path)


def save_timelines(path: Path, data: ClipData, predictions: Predictions, clips: int = 4) -> None:
    """Truth above prediction for a few clips with dense truth, audio left and visual right."""
    rows = predictions.rows.numpy()
    full = data.truth["audio"][rows].any(axis=(1, 2)) & data.truth["visual"][rows].any(axis=(1, 2))
    chosen = np.argsort(~full, kind="stable")[:clips]
    figure = Figure(figsize=(12, 0.4 + 2.2 * len(chosen)), layout="constrained")
    axes: Any = figure.subplots(len(chosen), 2, squeeze=False)
    for line, index in enumerate(chosen):
        sides = (("audio", predictions.heard), ("visual", predictions.seen))
        for ax, (side, found) in zip(axes[line], sides, strict=True):
            truth = data.truth[side][rows[index]]
            plot_timeline(found[index], truth, data.vocabulary.names, ax)
            key = literal(data.keys[rows[index]])
            ax.set_title(f"{key}: {side}", fontsize="medium")
    axes[-1][0].set_xlabel("seconds; blue: truth, orange: prediction")
    save(figure, path)


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


def save_confusion(path: Path, counts: Sequence[Sequence[int]]) -> None:
    """Confusion between the modalities, in seconds of classes."""
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    ax = figure.subplots()
    plot_confusion(counts, ax).set_title("seconds of classes, test clips", fontsize="medium")
    save(figure, path)


def plot_classes(scores: Mapping[str, float | None], ax: Axes) -> Axes:
    """Draw one bar a class, the first class on top; no bar where a score is not defined."""
    names = list(scores)
    ax.barh(range(len(names)), [scores[name] or 0.0 for name in names], color=FOUND_COLOUR)
    ax.set_yticks(range(len(names)), [literal(name) for name in names])
    ax.set_xlim(0, 1)
    ax.invert_yaxis()
    return ax


def save_classes(path: Path, classes: Mapping[str, Mapping[str, Any]]) -> None:
    """F1 and average precision of each class, of the test clips or of the last split there is."""
    split = "test" if "test" in classes else list(classes)[-1]
    names = list(classes[split]["f1"])
    figure = Figure(figsize=(10, 1 + 0.25 * len(names)), layout="constrained")
    for ax, (part, label) in zip(
        _row(figure, 2), (("f1", "F1"), ("ap", "average precision")), strict=True
    ):
        plot_classes(classes[split][part], ax).set_xlabel(f"{label}, split {split}")
    save(figure, path)


def literal(text: str, most: int = 60) -> str:
    r"""Return text that matplotlib draws as it is written, on one line of bounded length.

    `$` would begin a formula, and what is no formula would end the figure.

    >>> print(literal("$\\frac$"), literal("long name", most=8))
    \$\frac\$ long ...
    """
    return printable(text, most).replace("$", r"\$")


def _row(figure: Figure, columns: int) -> list[Axes]:
    axes: Any = figure.subplots(1, columns, squeeze=False)
    return list(axes[0])


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole; letters that the font lacks are drawn as boxes."""
    options: dict[str, Any] = {"format": "png", "dpi": 110, "metadata": {"Software": None}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        files.write_whole(path, lambda place: figure.savefig(place, **options))
