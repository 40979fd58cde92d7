"""Figures as files, and names as text that matplotlib can draw."""

import warnings
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models.runtime import files
from schemas.messages import printable


def literal(text: str, most: int = 60) -> str:
    r"""Return text that matplotlib draws as it is written, on one line of bounded length.

    `$` would begin a formula, and what is no formula would end the figure.

    >>> print(literal("$\\frac$"), literal("long name", most=8))
    \$\frac\$ long ...
    """
    return printable(text, most).replace("$", r"\$")


def titled(figure: Figure, title: str, source: str) -> None:
    """Head a figure with what it shows and where that comes from (`contract.report.origin`)."""
    figure.suptitle(f"{literal(title, 120)}\n{literal(source, 160)}", fontsize="medium")


def whole_numbers(ax: Axes, axis: str) -> None:
    """Label an axis, `x` or `y`, with whole numbers only."""
    side = ax.xaxis if axis == "x" else ax.yaxis
    side.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def legend_outside(ax: Axes, columns: int = 1, **options: Any) -> None:
    """Put the legend above the axes, where it covers nothing."""
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize="small",
        **options,
    )  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole; letters that the font lacks are drawn as boxes."""
    options: dict[str, Any] = {"format": "png", "dpi": 110, "metadata": {"Software": None}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        files.write_whole(path, lambda place: figure.savefig(place, **options))
