"""Pages: one HTML file each, without server or network, from templates that escape all text.

A page extends `base.html.j2`; `parts.html.j2` has tables that sort, scores on an axis, curves and
timelines. Pictures and sounds are data URIs.

    html = render("run.html.j2", Path(__file__).parent / "templates", title="han-1", ...)
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from schemas.page import palette

KIT = Path(__file__).parent
COLOURS = {
    "blue": palette.BLUE, "vermilion": palette.VERMILION, "green": palette.GREEN,
    "purple": palette.PURPLE, "orange": palette.ORANGE, "sky": palette.SKY,
}  # fmt: skip
"""Names of the palette's colours in the style sheet."""


def render(template: str, folder: Path, **facts: Any) -> str:
    """Return a page from a template of `folder`; a name that the template lacks raises."""
    html: str = _environment(folder).get_template(template).render(**facts)
    return html


@cache
def _environment(folder: Path) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, KIT]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals["colours"] = COLOURS
    return environment


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes as an address that holds them, such as of kind `image/jpeg`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of a chart."""

    name: str
    colour: str
    """Name of a colour of the style sheet."""
    points: str
    """SVG points in per cent of the chart, y downwards."""
    last: float
    """Last value."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines over epochs, one axis for all."""

    title: str
    curves: tuple[Curve, ...]
    low: float
    high: float
    first: float
    last: float
    mark: float | None
    """Place of a vertical line, in per cent of the width."""
    mark_name: str


def chart(
    title: str, xs: Sequence[float], series: Mapping[str, Sequence[float | None]],
    mark: float | None = None, mark_name: str = "",
) -> Chart | None:  # fmt: skip
    """Return lines over `xs`; None where no series has a finite value."""
    values = [value for line in series.values() for value in line
              if value is not None and math.isfinite(value)]  # fmt: skip
    if not values:
        return None
    low, high = min(values), max(values)
    names = list(COLOURS)
    curves = tuple(
        Curve(
            name=name, colour=names[place % len(names)], points=_points(xs, line, low, high),
            last=next((value for value in reversed(line) if _finite(value)), math.nan) or 0.0,
        )
        for place, (name, line) in enumerate(series.items())
    )  # fmt: skip
    place = None if mark is None else share(mark, min(xs), max(xs))
    return Chart(
        title=title, curves=curves, low=low, high=high, first=min(xs), last=max(xs), mark=place,
        mark_name=mark_name,
    )  # fmt: skip


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _points(xs: Sequence[float], ys: Iterable[float | None], low: float, high: float) -> str:
    pairs = [
        (share(x, min(xs), max(xs)), 100 - share(y or 0.0, low, high))
        for x, y in zip(xs, ys, strict=True)
        if _finite(y)
    ]
    if len(pairs) == 1:  # a line of one point shows nothing, a dash does
        ((x, y),) = pairs
        pairs = [(x - 2, y), (x + 2, y)]
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in pairs)


def share(value: float, low: float, high: float) -> float:
    """Return where a value stands between two others, in per cent; the middle when they are equal.

    >>> share(2, 1, 5), share(3, 3, 3), share(9, 0, 5)
    (25.0, 50.0, 100.0)
    """
    if high <= low:
        return 50.0
    return min(100.0, max(0.0, 100 * (value - low) / (high - low)))
