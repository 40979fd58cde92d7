"""What is drawn of decisions and of the confusion between modalities, read off the axes."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.metrics import PRESENCE
from models.tasks.figures import plot_confusion, plot_timeline

NAMES = ("Dog", "Car", "Speech", "Violin", "Rain")


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def bars(ax: Axes) -> list[tuple[float, float, float, float]]:
    """Left, right, low and high end of each bar, in order."""
    ends = []
    for collection in ax.collections:
        paths: Any = collection.get_paths()
        for path in paths:
            (left, low), (right, high) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            ends.append((round(left, 3), round(right, 3), round(low, 3), round(high, 3)))
    return ends


def test_truth_is_drawn_above_prediction_for_the_classes_of_either(ax: Axes) -> None:
    truth, predicted = np.zeros((2, 10, 5), bool)
    truth[2:4, 1] = True
    predicted[9, 3] = True
    plot_timeline(predicted, truth, NAMES, ax)
    assert bars(ax) == [
        (2, 3, 0.05, 0.45), (3, 4, 0.05, 0.45),
        (9, 10, 1.5, 1.9),
    ]  # fmt: skip
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Car", "Violin"]
    assert list(ax.get_yticks()) == [0.5, 1.5]
    assert ax.get_xlim() == (0, 10)
    assert ax.get_ylim() == (3, 0)
    assert [ax.get_xticks()[0], ax.get_xticks()[-1]] == [0, 10]
    first, *_, last = (collection.get_facecolor() for collection in ax.collections)
    assert not np.array_equal(first, last)


def test_timeline_has_a_line_for_each_of_many_classes(ax: Axes) -> None:
    plot_timeline(np.zeros((10, 5), bool), np.ones((10, 5), bool), NAMES, ax)
    assert ax.get_ylim() == (5, 0)
    assert len(ax.get_yticks()) == 5


def test_confusion_has_counts_and_shares_of_each_row(ax: Axes) -> None:
    counts = [[6000, 2000, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]
    plot_confusion(counts, ax)
    said = {text.get_position(): text for text in ax.texts}
    assert len(said) == 16
    assert said[0, 0].get_text() == "6,000\n75%"
    assert said[1, 0].get_text() == "2,000\n25%"
    assert said[0, 1].get_text() == "0\n0%"
    assert said[2, 3].get_text() == "1\n100%"
    colours = {place: said[place].get_color() for place in ((0, 0), (1, 0), (0, 2), (1, 2))}
    assert colours == {(0, 0): "white", (1, 0): "black", (0, 2): "black", (1, 2): "black"}
    shares: Any = ax.images[0].get_array()
    np.testing.assert_allclose(shares[0], [0.75, 0.25, 0, 0])
    np.testing.assert_allclose(shares[1], 0)
    assert ax.images[0].get_clim() == (0, 1)
    for ticks in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert [label.get_text() for label in ticks] == list(PRESENCE)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("found in", "truly in")
