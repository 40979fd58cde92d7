"""The pictures of docs/benchmarks can be drawn anew from the numbers beside them."""

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.bench.pictures import DRAWINGS, draw
from tests.places import BENCHMARKS


@pytest.fixture(scope="module", params=sorted(DRAWINGS))
def figure(request: pytest.FixtureRequest) -> Figure:
    source, drawing = DRAWINGS[request.param]
    drawn = drawing(json.loads((BENCHMARKS / source).read_text()))
    drawn.draw_without_rendering()
    return drawn


def test_title_says_what_and_from_which_data(figure: Figure) -> None:
    title, source = figure.get_suptitle().split("\n")
    assert title
    assert source


def test_legend_covers_nothing(figure: Figure) -> None:
    (legend,) = [legend for ax in figure.axes if (legend := ax.get_legend()) is not None]
    box = legend.get_window_extent()
    assert not any(box.overlaps(ax.get_window_extent()) for ax in figure.axes)


def test_what_is_drawn_stays_within_the_axes(figure: Figure) -> None:
    for ax in figure.axes:
        low, high = sorted(ax.get_xlim())
        held: Any = ax
        xs = [x for lines in held.collections for path in lines.get_paths()
              for x in path.vertices[:, 0]]  # fmt: skip
        xs += [x for line in held.lines if line.get_transform() == ax.transData
               for x in line.get_xdata()]  # fmt: skip
        assert all(low <= float(x) <= high for x in xs)
        assert held.dataLim.y1 <= max(ax.get_ylim())


def test_it_is_written_as_a_file(tmp_path: Path) -> None:
    draw("preemption.png", tmp_path)
    assert (tmp_path / "preemption.png").stat().st_size > 10_000
