"""The figure and the table of robustness curves."""

from collections.abc import Sequence
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


def plot_kind(kind: str, points: Sequence[Point], ax: Axes) -> Axes:
    """Draw mAP of every run over the levels of one degradation."""
    levels = [point.level for point in points if point.level is not None]
    clean = max(levels, default=0.0) + CLEAN
    for place, run in enumerate(dict.fromkeys(point.run for point in points)):
        line = sorted(
            (clean if point.level is None else point.level, point.scores["map"])
            for point in points
            if point.run == run and point.scores["map"] is not None
        )
        colour = palette.SERIES[place % len(palette.SERIES)]
        xs, ys = [level for level, _ in line], [100 * (value or 0.0) for _, value in line]
        ax.plot(xs, ys, marker=".", color=colour, label=literal(run, 30))
    if any(point.level is None for point in points):
        ticks = [*sorted(set(levels)), clean]
        ax.set_xticks(ticks, [*(f"{level:g}" for level in ticks[:-1]), "clean"])
    ax.set_xlabel(KINDS[kind])
    ax.set_ylim(bottom=0)
    return ax


def save_figure(path: Path, points: Sequence[Point], source: str) -> None:
    """Draw one panel per degradation; `source` says where the features come from."""
    kinds = [kind for kind in KINDS if any(point.kind == kind for point in points)]
    figure = Figure(figsize=(4.2 * len(kinds) + 0.6, 4.6), layout="constrained")
    axes: Any = figure.subplots(1, len(kinds), squeeze=False, sharey=True)
    for ax, kind in zip(axes[0], kinds, strict=True):
        plot_kind(kind, [point for point in points if point.kind == kind], ax)
    axes[0][0].set_ylabel("mAP, %")
    legend_outside(axes[0][0])
    titled(figure, "mAP when sound or picture is worse, or not there", source)
    save(figure, path)
