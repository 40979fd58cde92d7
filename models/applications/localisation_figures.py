"""Figures of `models.applications.localisation`: data and axes in, axes out.

Letters: T seconds, P boxes, S audio segments.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.applications.localisation import InstanceScores, scaled
from models.runtime.figures import literal, save, titled
from schemas.features import SEGMENT_HOP_S, SEGMENT_S
from schemas.page import palette

MOST_FRAMES = 10
"""Frames that a figure shows, each above its seconds of the time axis."""
WIDTH_OF_BAR = 0.02
"""Width of a colour bar, as a share of the time axis."""


def save_instances(
    path: Path,
    instances: InstanceScores,
    column: int,
    label: str,
    frames: Sequence[NDArray[np.uint8]],
    source: str,
) -> None:
    """Draw a class of a clip (`instance_figure`) as PNG."""
    save(instance_figure(instances, column, label, frames, source), path)


def instance_figure(
    instances: InstanceScores,
    column: int,
    label: str,
    frames: Sequence[NDArray[np.uint8]],
    source: str,
) -> Figure:
    """Return frames with their boxes over the scores of all boxes and of the audio, in seconds.

    `frames` has one frame [H, W, 3] per second, or none where the clip has no video. Of longer
    clips the frame of the best box of every stretch is drawn, so that of the best box always is.
    `source` says where the run's features come from (`models.contract.report.origin`).
    """
    edges = stretches(instances.seconds)
    widths = [*np.diff(edges).tolist(), WIDTH_OF_BAR * instances.seconds]
    height = 15 / len(edges) / aspect(frames) if frames else 0.3
    figure = Figure(figsize=(15, (3 if frames else 2.2) + height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.01)  # type: ignore[union-attr, call-arg]
    grid = figure.add_gridspec(3, len(widths), width_ratios=widths, height_ratios=[height, 1, 0.6])
    best = best_second(instances, column)
    for place, (first, last) in enumerate(itertools.pairwise(edges)):
        if frames:
            second = shown_second(instances, column, first, last)
            ax = figure.add_subplot(grid[0, place])
            plot_boxes(frames[second], instances, column, second, ax, best=second == best)
    rows = ((1, "boxes", plot_box_scores), (2, "audio", plot_segment_scores))
    for row, name, plot in rows:
        ax = plot(instances, column, figure.add_subplot(grid[row, :-1]))
        ax.set_xlim(0, instances.seconds)
        ax.set_xticks(edges)
        ax.set_ylabel(name)
    ax.set_xlabel("seconds")
    bar = figure.add_subplot(grid[1:, -1])
    figure.colorbar(ScalarMappable(cmap=palette.SCALE), cax=bar, label="scaled score")
    titled(figure, f"{label}: score {instances.clip[column]:.2f}", source)
    return figure


def stretches(seconds: int) -> list[int]:
    """Return the seconds at which the frames of a figure begin and end, from 0 to T.

    >>> stretches(3), stretches(25)
    ([0, 1, 2, 3], [0, 2, 5, 8, 10, 12, 15, 18, 20, 22, 25])
    """
    return np.linspace(0, seconds, min(MOST_FRAMES, seconds) + 1).round().astype(int).tolist()


def aspect(frames: Sequence[NDArray[np.uint8]]) -> float:
    """Return width over height of the frames."""
    return frames[0].shape[1] / frames[0].shape[0]


def best_second(instances: InstanceScores, column: int) -> int | None:
    """Return the second of the best box of a class; None without boxes."""
    if not len(instances.boxes):
        return None
    return int(instances.box_seconds[instances.box_scores[:, column].argmax()])


def shown_second(instances: InstanceScores, column: int, first: int, last: int) -> int:
    """Return the second from `first` to before `last` with the best box, `first` without boxes."""
    inside = np.flatnonzero((instances.box_seconds >= first) & (instances.box_seconds < last))
    if not len(inside):
        return first
    return int(instances.box_seconds[inside[instances.box_scores[inside, column].argmax()]])


def plot_boxes(
    frame: NDArray[np.uint8], instances: InstanceScores, column: int, second: int, ax: Axes,
    *, best: bool = False,
) -> Axes:  # fmt: skip
    """Draw the frame [H, W, 3] of a second with its boxes, opaque by their scaled score.

    `best` says that the best box of the clip is among them; that one is drawn thicker.
    """
    height, width = frame.shape[:2]
    opacity = scaled(instances.box_scores)[:, column]
    ax.imshow(frame)
    shown = np.flatnonzero(instances.box_seconds == second)
    for index in shown[np.argsort(opacity[shown])]:
        x0, y0, x1, y1 = instances.boxes[index] * (width, height, width, height)
        across, down = (x0, x1, x1, x0, x0), (y0, y0, y1, y1, y0)
        top = best and opacity[index] == opacity.max()
        ax.plot(
            across, down, color=palette.VERMILION if top else palette.YELLOW,
            alpha=float(opacity[index]), linewidth=3.5 if top else 1.8,
        )  # fmt: skip
    ax.set_title(f"{second} s{', best' if best else ''}", fontsize="small")
    ax.set_axis_off()
    return ax


def plot_box_scores(instances: InstanceScores, column: int, ax: Axes) -> Axes:
    """Draw the scaled scores of the boxes of each second, the best on top, over seconds."""
    ax.set_yticks([])
    if not len(instances.boxes):
        return _none(ax, "no boxes")
    scores = scaled(instances.box_scores)[:, column]
    most = int(np.bincount(instances.box_seconds).max())
    table = np.full((most, instances.seconds), np.nan)
    for second in range(instances.seconds):
        own = np.sort(scores[instances.box_seconds == second])[::-1]
        table[: len(own), second] = own
    ax.imshow(
        table, aspect="auto", vmin=0, vmax=1, cmap=palette.SCALE,
        extent=(0, instances.seconds, most, 0),
    )  # fmt: skip
    return ax


def plot_segment_scores(instances: InstanceScores, column: int, ax: Axes) -> Axes:
    """Draw the scaled score of each audio segment round its centre, over seconds."""
    ax.set_yticks([])
    ax.set_ylim(0, 1)
    if not len(instances.segment_starts):
        return _none(ax, "no audio segments")
    colours = colormaps[palette.SCALE](scaled(instances.segment_scores)[:, column])
    left = instances.segment_starts + (SEGMENT_S - SEGMENT_HOP_S) / 2
    ax.bar(left, 1.0, width=SEGMENT_HOP_S, align="edge", color=colours)
    return ax


def _none(ax: Axes, said: str) -> Axes:
    ax.text(0.5, 0.5, literal(said), ha="center", va="center", transform=ax.transAxes)
    return ax
