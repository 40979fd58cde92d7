"""Figures of a training: their titles, their legends, room for every class."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models import train
from models.applications.class_analysis import ClassAnalysis
from models.applications.class_figures import plot_gain
from models.tasks.figures import class_scores
from tests.models.commands import run_command
from tests.stores.tagging import write_tagging_store

TINY = ("--epochs", "2", "--batch-size", "16")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Every figure that is saved, by the name of its file."""
    figures: dict[str, Figure] = {}
    names: list[str] = []

    def save(figure: Figure, path: Path) -> None:
        names.append(path.name)
        figures[path.name] = figure

    for module in ("models.runtime.figures", "models.training.figures"):
        monkeypatch.setattr(f"{module}.save", save)
    return figures


@pytest.mark.parametrize(
    ("experiment", "names"),
    [
        ("han", {"curves.png", "timelines.png", "confusion.png"}),
        ("two_stream-video", {"curves.png", "classes.png"}),
    ],
)
def test_titles_say_data_set_weights_and_subset(
    experiment: str, names: set[str], tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    from tests.stores.bags import write_bag_store

    store, run = write_bag_store(tmp_path / "store"), tmp_path / "run"
    done = run_command(train.main, experiment, "--features", store, "--run", run, *TINY)
    assert done.returncode == 0, done.stderr
    subset = json.loads((run / "results.json").read_text())["subset_id"]
    assert set(drawn) == names
    for figure in drawn.values():
        assert f"data set demo, weights seeded:0, subset {subset}" in figure.get_suptitle()


def test_curves_mark_the_kept_epoch_and_their_legend_covers_nothing(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    store = write_tagging_store(tmp_path / "store")
    run_command(train.main, "fayek_visual", "--features", store, "--run", tmp_path / "run", *TINY)
    kept = json.loads((tmp_path / "run/results.json").read_text())["kept_epoch"]
    figure = drawn["curves.png"]
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    for ax in figure.axes:
        legend = ax.get_legend()
        assert legend is not None
        assert f"kept: epoch {kept}" in [text.get_text() for text in legend.get_texts()]
        assert legend.get_window_extent().y0 >= ax.get_window_extent().y1 - 1
        assert all(tick == int(tick) for tick in ax.get_xticks())


@pytest.mark.parametrize("count", [2, 25, 527])
def test_names_of_all_classes_are_legible(count: int) -> None:
    names = [f"Class {number}, with a name of some length" for number in range(count)]
    values: dict[str, float | None] = {name: place / count for place, name in enumerate(names)}
    figure = class_scores({"f1": values, "ap": values}, "test", "data set x")
    figure.set_dpi(110)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    shown = [label for ax in figure.axes for label in ax.get_yticklabels()]
    assert len(shown) == count
    for ax in figure.axes:
        boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
        assert min(box.height for box in boxes) >= 9
        assert all(not a.overlaps(b) for a, b in itertools.pairwise(boxes))
        assert min(box.x0 for box in boxes) >= 0


def test_scores_that_are_not_defined_have_no_dot_and_best_classes_stand_on_top() -> None:
    scores: dict[str, float | None] = {"a": 0.1, "b": None, "c": 0.9}
    (ax,) = class_scores({"f1": scores, "ap": scores}, "test", "data set x").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c", "a", "b"]
    dots = np.asarray(ax.lines[0].get_xdata(), float)
    assert np.isnan(dots).tolist() == [False, False, True]


def test_classes_are_counted_in_whole_numbers() -> None:
    ap = np.array([0.1, 0.5, 0.6])
    analysis = ClassAnalysis(
        names=("a", "b", "c"), clips=np.ones(3, np.int64), audio=ap, visual=ap, fused=ap + 0.01,
        gain_ends=np.zeros((2, 3)), audio_weight=None,
    )  # fmt: skip
    ax = plot_gain(analysis, Figure().subplots())
    assert all(tick == int(tick) for tick in ax.get_yticks())
