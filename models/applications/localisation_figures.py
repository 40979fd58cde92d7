"""Figures of `models.applications.localisation`: data and axes in, axes out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.applications.localisation import InstanceScores, scaled
from models.runtime.figures import literal, save

BOX_COLOUR = "#39d353"
MOST_FRAMES = 5
"""Frames that a figure shows, spread over the clip."""


def save_instances(
    path: Path,
    instances: InstanceScores,
    column: int,
    label: str,
    frames: Sequence[NDArray[np.uint8]],
) -> None:
    """Draw frames with their boxes, then a heat map of all boxes and one of the audio segments.

    `frames` has one frame [H, W, 3] per second, or none where the clip has no video.
    """
    height = 3.0 if frames else 0.5
    figure = Figure(figsize=(13, height + 1.6), layout="constrained")
    parts: Any = figure.subfigures(3, 1, height_ratios=[height, 0.8, 0.8])
    top, boxes, segments = parts
    if frames:
        count = min(MOST_FRAMES, len(frames))
        shown = np.linspace(0, len(frames) - 1, count).round().astype(int)
        for ax, second in zip(top.subplots(1, count, squeeze=False)[0], shown, strict=True):
            plot_boxes(frames[second], instances, column, int(second), ax)
    top.suptitle(f"{literal(label)}: score {instances.clip[column]:.2f}")
    for part, scores, name in (
        (boxes, instances.box_scores, "boxes, in the order of the seconds"),
        (segments, instances.segment_scores, "audio segments, in their order"),
    ):
        plot_heat(scaled(scores)[:, column], name, part.subplots())
    save(figure, path)


def plot_boxes(
    frame: NDArray[np.uint8], instances: InstanceScores, column: int, second: int, ax: Axes
) -> Axes:
    """Draw the frame [H, W, 3] of a second with its boxes, opaque by their scaled score."""
    height, width = frame.shape[:2]
    opacity = scaled(instances.box_scores)[:, column]
    ax.imshow(frame)
    for index in np.flatnonzero(instances.box_seconds == second):
        x0, y0, x1, y1 = instances.boxes[index] * (width, height, width, height)
        across, down = (x0, x1, x1, x0, x0), (y0, y0, y1, y1, y0)
        ax.plot(across, down, color=BOX_COLOUR, alpha=float(opacity[index]), linewidth=2.5)
    ax.set_title(f"second {second}", fontsize="small")
    ax.set_axis_off()
    return ax


def plot_heat(scores: NDArray[np.float32], name: str, ax: Axes) -> Axes:
    """Draw scores [n] from 0 to 1 side by side; an empty strip that says so when there is none."""
    ax.set_yticks([])
    if len(scores):
        ax.imshow(scores[None], aspect="auto", vmin=0.0, vmax=1.0, cmap="magma")
    else:
        ax.set_xticks([])
    ax.set_xlabel(name if len(scores) else f"{name}: none", fontsize="small")
    return ax
