"""What is drawn of decisions and of the confusion between modalities, read off the axes."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from models.metrics import PRESENCE
from models.runtime.figures import whole_numbers
from models.tasks.figures import (
    class_scores,
    confusion_table,
    plot_classes,
    plot_confusion,
    plot_timeline,
    timelines,
)
from schemas.page import palette

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
    assert plot_timeline(predicted, truth, NAMES, ax) is ax
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
    assert plot_confusion(counts, ax) is ax
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


def test_timelines_have_a_row_per_clip_and_one_legend() -> None:
    for keys in (["a"], ["a", "b$"]):
        shape = (len(keys), 2, 10, 5)
        figure = timelines(keys, np.zeros(shape, bool), np.ones(shape, bool), NAMES, "store x")
        assert figure.get_size_inches().tolist() == pytest.approx([12, 1.2 + 2.2 * len(keys)])
        axes = np.array(figure.axes).reshape(len(keys), 2)
        assert [ax.get_title() for ax in axes[0]] == ["a: audio", "a: visual"]
        assert [ax.get_xlabel() for ax in axes[-1]] == ["seconds", "seconds"]
        assert all(ax.get_xlabel() == "" for row in axes[:-1] for ax in row)
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["truth", "prediction"]
        colours: list[Any] = [to_hex(patch.get_facecolor()) for patch in legend.get_patches()]
        assert colours == [palette.TRUTH.lower(), palette.PREDICTION.lower()]
        assert not legend.get_frame_on()
        assert legend._ncols == 2  # type: ignore[attr-defined]
        assert "events of test clips, second by second" in figure.get_suptitle()
        assert "store x" in figure.get_suptitle()


def test_sides_of_a_clip_are_drawn_beside_each_other() -> None:
    truth, predicted = np.zeros((2, 1, 2, 10, 5), bool)
    truth[0, 0, 2, 0] = predicted[0, 1, 4, 1] = True
    audio, visual = timelines(["a"], predicted, truth, NAMES, "x").axes
    assert bars(audio) == [(2, 3, 0.05, 0.45)]
    assert bars(visual) == [(4, 5, 0.5, 0.9)]


@pytest.mark.parametrize(("seconds", "ticks"), [(10, 11), (11, 6), (25, 9)])
def test_seconds_have_about_ten_ticks(ax: Axes, seconds: int, ticks: int) -> None:
    plot_timeline(np.ones((seconds, 5), bool), np.ones((seconds, 5), bool), NAMES, ax)
    assert len(ax.get_xticks()) == ticks
    assert ax.get_xlim() == (0, seconds)


def test_scores_of_classes_are_dots_in_rows(ax: Axes) -> None:
    scores: dict[str, dict[str, float | None]] = {
        "F1": {"a": 0.5, "b": None}, "AP": {"a": 0.25, "b": 1.0}
    }  # fmt: skip
    assert plot_classes(scores, ("a", "b"), ax) is ax
    first, second = ax.lines
    assert [first.get_label(), second.get_label()] == ["F1", "AP"]
    assert [line.get_marker() for line in ax.lines] == ["o", "D"]
    assert np.asarray(first.get_xdata(), float)[0] == 0.5
    assert np.isnan(np.asarray(first.get_xdata(), float)[1])
    assert np.asarray(second.get_xdata(), float).tolist() == [0.25, 1.0]
    assert np.asarray(second.get_ydata()).tolist() == [0, 1]
    assert [line.get_color() for line in ax.lines] == list(palette.SERIES[:2])
    assert {line.get_markersize() for line in ax.lines} == {4.5}
    assert not any(line.get_clip_on() for line in ax.lines)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert {label.get_fontsize() for label in ax.get_yticklabels()} == {7}
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 1), (1.5, -0.5))
    (rows,) = ax.collections
    segments: Any = rows
    assert [line.tolist() for line in segments.get_segments()] == [
        [[0, 0], [1, 0]], [[0, 1], [1, 1]]
    ]  # fmt: skip
    assert (rows.get_alpha(), np.asarray(rows.get_linewidth()).tolist()) == (0.25, [0.6])


@pytest.mark.parametrize(
    ("count", "columns", "size"),
    [(2, 1, (7, 3)), (66, 1, (7, 1.6 + 0.19 * 66)), (67, 2, (10, 1.6 + 0.19 * 34)),
     (200, 4, (19, 1.6 + 0.19 * 50))],
)  # fmt: skip
def test_many_classes_make_columns(count: int, columns: int, size: tuple[float, float]) -> None:
    values: dict[str, float | None] = {f"c{place:03d}": place / count for place in range(count)}
    figure = class_scores({"f1": values, "ap": values}, "val", "store x")
    assert len(figure.axes) == columns
    assert figure.get_size_inches().tolist() == pytest.approx(size)
    shown = [label.get_text() for ax in figure.axes for label in ax.get_yticklabels()]
    assert shown == sorted(values, reverse=True)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["F1", "average precision"]
    assert not legend.get_frame_on()
    assert legend._ncols == 2  # type: ignore[attr-defined]
    title, source = figure.get_suptitle().splitlines()
    assert (title, source) == (f"classes of split val, {count} in all", "store x")


def test_classes_without_a_score_are_counted_in_the_title() -> None:
    values: dict[str, float | None] = {"a": None, "b": 0.5, "c": None}
    title = class_scores({"f1": values, "ap": values}, "val", "x").get_suptitle()
    assert "3 in all; 2 without a clip, or with nothing else" in title
    whole = dict.fromkeys(values, 0.5)
    assert "without" not in class_scores({"f1": whole, "ap": whole}, "val", "x").get_suptitle()


def test_confusion_has_a_bar_of_colours_and_a_title() -> None:
    figure = confusion_table([[1, 2, 3, 4]] * 4, "store x")
    assert figure.get_size_inches().tolist() == [6.5, 5]
    table, bar = figure.axes
    assert len(table.texts) == 16
    assert bar.get_ylabel() == "share of the row"
    assert "seconds of classes, test clips" in figure.get_suptitle()
    assert "store x" in figure.get_suptitle()


@pytest.mark.parametrize("ends", [(0.95, 1.05), (0, 1), (0, 200)])
def test_axes_of_counts_have_whole_numbers_only(ends: tuple[float, float]) -> None:
    ax = Figure().subplots()
    ax.set_xlim(*ends)
    whole_numbers(ax, "x")
    assert all(tick == int(tick) for tick in ax.get_xticks())
