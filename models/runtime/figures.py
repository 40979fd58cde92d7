"""Figures as files, and names as text that matplotlib can draw."""

import warnings
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from models.runtime import files
from schemas.messages import printable


def literal(text: str, most: int = 60) -> str:
    r"""Return text that matplotlib draws as it is written, on one line of bounded length.

    `$` would begin a formula, and what is no formula would end the figure.

    >>> print(literal("$\\frac$"), literal("long name", most=8))
    \$\frac\$ long ...
    """
    return printable(text, most).replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole; letters that the font lacks are drawn as boxes."""
    options: dict[str, Any] = {"format": "png", "dpi": 110, "metadata": {"Software": None}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        files.write_whole(path, lambda place: figure.savefig(place, **options))
