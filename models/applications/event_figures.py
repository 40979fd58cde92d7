"""Figures of `models.applications.event_detection`: data and axes in, axes out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.applications.event_detection import true_runs
from models.data.clips import ClipData
from models.runtime.figures import literal, save, titled
from models.tasks.parsing import Predictions
from models.tasks.sound_events import Timeline
from schemas.page import palette

MOST_CLASSES = 60
"""Classes that a figure shows: of more, those of the highest probabilities."""
EVENT_COLOUR = palette.PREDICTION


def save_predictions(
    path: Path, title: str, predictions: Predictions, data: ClipData, row: int, seconds: int,
    source: str,
) -> None:  # fmt: skip
    """Draw the probabilities of one clip, audio above visual, with a frame round each event.

    `seconds` is the clip's own length; of more classes than `MOST_CLASSES` the highest are drawn.
    `source` says where the run's features come from (`models.contract.report.origin`).
    """
    highest = np.maximum(predictions.audio[row], predictions.visual[row]).max(axis=0)
    shown = np.sort(np.argsort(-highest, kind="stable")[:MOST_CLASSES])
    names = [literal(data.vocabulary.names[column]) for column in shown]
    figure = Figure(figsize=(8, 1.5 + 0.5 * len(shown)), layout="constrained")
    axes: Any = figure.subplots(2, 1, sharex=True)
    sides = (
        ("audio", predictions.heard, predictions.audio),
        ("visual", predictions.seen, predictions.visual),
    )
    for ax, (modality, decided, probability) in zip(axes, sides, strict=True):
        plot_probabilities(probability[row][:seconds, shown], decided[row][:seconds, shown], ax)
        ax.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=8)
        ax.set_ylabel(modality)
        figure.colorbar(ax.images[0], ax=ax, label="probability")
    axes[-1].set_xlabel("seconds; framed: detected events")
    titled(figure, title, source)
    save(figure, path)


def save_timeline(
    path: Path,
    title: str,
    scores: NDArray[np.float32],
    decided: NDArray[np.bool_],
    classes: Sequence[str],
    grid: Timeline,
    source: str,
) -> None:
    """Draw the scores of one clip's segments [S, C] with a frame where a class is decided on.

    `source` is as for `save_predictions`.
    """
    shown = np.sort(np.argsort(-scores.max(axis=0), kind="stable")[:MOST_CLASSES])
    figure = Figure(figsize=(8, 1 + 0.25 * len(shown)), layout="constrained")
    ax = figure.subplots()
    plot_probabilities(scores[:, shown], decided[:, shown], ax, grid.hop_s)
    ax.set_yticks(np.arange(len(shown)) + 0.5, [literal(classes[one]) for one in shown], fontsize=8)
    figure.colorbar(ax.images[0], ax=ax, label="score")
    ax.set_xlabel("seconds; framed: at or above the threshold")
    titled(figure, title, source)
    save(figure, path)


def plot_probabilities(
    probability: NDArray[np.float32], decided: NDArray[np.bool_], ax: Axes, hop_s: float = 1.0
) -> Axes:
    """Draw probabilities [T, C], one line per class, and frame the runs of decided steps.

    A step lasts `hop_s` seconds.
    """
    steps, classes = probability.shape
    extent = (0, steps * hop_s, classes, 0)
    ax.imshow(probability.T, aspect="auto", vmin=0, vmax=1, cmap=palette.SHARE, extent=extent)
    for column in range(classes):
        spans = [
            (first * hop_s, (last - first) * hop_s) for first, last in true_runs(decided[:, column])
        ]
        ax.broken_barh(
            spans, (column + 0.06, 0.88), facecolors="none", edgecolors=EVENT_COLOUR, linewidth=2
        )
    return ax
