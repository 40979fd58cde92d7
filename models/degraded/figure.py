"""The figure and the table of robustness curves."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.degraded.scores import KINDS, SCORES, Point
from models.runtime.figures import legend_outside, literal, save, titled
from schemas.page import palette

CLEAN = 10.0
"""How far right of the least noise the point without noise stands, in dB."""


def rows(points: Sequence[Point]) -> list[list[object]]:
    """Return one row per point with its scores, below a head."""
    head: list[object] = ["run", "degradation", "level", *SCORES]
    lines: list[list[object]] = [
        [point.run, point.kind, "clean" if point.level is None else point.level]
        + [point.scores[name] for name in SCORES]
        for point in points
    ]
    return [head, *lines]


def plot_kind(kind: str, points: Sequence[Point], colours: Mapping[str, str], ax: Axes) -> Axes:
    """Draw mAP of the runs over the levels of one degradation, each in its own colour."""
    levels = [point.level for point in points if point.level is not None]
    clean = max(levels, default=0.0) + CLEAN
    for run in dict.fromkeys(point.run for point in points):
        line = sorted(
            (clean if point.level is None else point.level, point.scores["map"])
            for point in points
            if point.run == run and point.scores["map"] is not None
        )
        xs, ys = [level for level, _ in line], [100 * (value or 0.0) for _, value in line]
        ax.plot(xs, ys, marker=".", color=colours[run], label=literal(run, 30))
    if any(point.level is None for point in points):
        ticks = [*sorted(set(levels)), clean]
        ax.set_xticks(ticks, [*(f"{level:g}" for level in ticks[:-1]), "clean"])
    ax.set_xlabel(KINDS[kind])
    return ax


def robustness_figure(points: Sequence[Point], source: str) -> Figure:
    """Return one panel per degradation; `source` says where the features come from."""
    kinds = [kind for kind in KINDS if any(point.kind == kind for point in points)]
    names = dict.fromkeys(point.run for point in points)
    colours = dict(zip(names, itertools.cycle(palette.SERIES), strict=False))
    figure = Figure(figsize=(4.2 * len(kinds) + 0.6, 4.6), layout="constrained")
    axes: Any = figure.subplots(1, len(kinds), squeeze=False, sharey=True)
    for ax, kind in zip(axes[0], kinds, strict=True):
        plot_kind(kind, [point for point in points if point.kind == kind], colours, ax)
    highest = max((100 * (point.scores["map"] or 0.0) for point in points), default=0.0)
    axes[0][0].set_ylim(0, max(1.0, 1.08 * highest))
    axes[0][0].set_ylabel("mAP, per cent")
    lines = {line.get_label(): line for ax in axes[0] for line in ax.lines}
    legend_outside(axes[0][0], handles=list(lines.values()))
    titled(figure, "mAP when the audio or the video is worse, or not there", source)
    return figure


def save_figure(path: Path, points: Sequence[Point], source: str) -> None:
    """Draw `robustness_figure` as PNG."""
    save(robustness_figure(points, source), path)
