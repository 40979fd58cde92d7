"""Localisation: seconds, overlaps and hits; tables and figures of instances."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import imread

from models import localise
from models.applications import localisation
from models.applications.localisation import InstanceScores, Locator
from models.applications.localisation_figures import instance_figure, save_instances
from models.applications.new_media import open_run
from models.data.clips import open_clips
from models.training.results import RunResults
from schemas import UsageError
from tests.stores.bags import write_bag_store
from tests.stores.parsing import CLASSES

LEFT, RIGHT = (0.1, 0.1, 0.4, 0.4), (0.6, 0.1, 0.9, 0.9)


def instances(*segments: float, seconds: int = 3) -> InstanceScores:
    scores = np.array(segments, np.float32)[:, None]
    return InstanceScores(
        clip=np.ones(1, np.float32), boxes=np.zeros((0, 4), np.float32),
        box_seconds=np.zeros(0, np.int64), box_scores=np.zeros((0, 1), np.float32),
        segment_starts=0.48 * np.arange(len(segments), dtype=np.float64), segment_scores=scores,
        seconds=seconds,
    )  # fmt: skip


def test_scores_are_scaled_class_by_class() -> None:
    scores = np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]], np.float32)
    np.testing.assert_allclose(
        localisation.scaled(scores), np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]])
    )


def test_second_takes_the_best_segment_centred_in_it() -> None:
    # centres at 0.48, 0.96 | 1.44, 1.92 | 2.40
    per_second = localisation.by_second(instances(0.0, 2.0, 4.0, 1.0, 0.0))
    np.testing.assert_allclose(per_second[:, 0], [0.5, 1.0, 0.0])
    short = localisation.by_second(instances(0.0, 1.0))
    np.testing.assert_allclose(short[:, 0], [1.0, 1.0, 1.0])


def test_overlap_is_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5], [0.8, 0.8, 1, 1]], np.float32)
    overlaps = localisation.overlap(boxes, boxes[:1])
    np.testing.assert_allclose(overlaps[:, 0], [1.0, 1 / 3, 0.0], atol=1e-6)


def test_boxes_of_a_second_vote_by_their_overlap() -> None:
    whole, left, right = (0, 0, 1, 1), (0, 0, 0.5, 1), (0.5, 0, 1, 1)
    boxes = np.array([whole, left, right, whole], np.float32)
    scores = np.array([[0.2], [0.6], [0.4], [5.0]], np.float32)
    found = localisation.voted(boxes, np.array([3, 3, 3, 4]), scores)
    np.testing.assert_allclose(found[:, 0], [0.7, 0.7, 0.5, 5.0], atol=1e-6)
    none = localisation.voted(boxes[:0], np.zeros(0, np.int64), scores[:0])
    assert none.shape == (0, 1)


def test_locator_lets_them_vote_when_it_is_asked(
    instances_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = lambda boxes, seconds, scores: scores + len(np.unique(seconds))  # noqa: E731
    monkeypatch.setattr(localisation, "voted", counted)
    run = open_run(instances_run)
    data = open_clips(write_bag_store(tmp_path / "store"), run.needs, classes=run.classes)
    plain, asked = (Locator(run, data, voting).locate(0) for voting in (False, True))
    np.testing.assert_array_equal(asked.box_scores, plain.box_scores + 10)


def test_hits_need_the_right_second() -> None:
    boxes = np.array([LEFT, LEFT, RIGHT, (0.0, 0.0, 1.0, 1.0)], np.float32)
    truth = {4: np.array([(0.1, 0.1, 0.45, 0.45)], np.float32)}
    pointed, overlaps = localisation.hits(boxes, np.array([4, 5, 4, 4]), truth)
    assert pointed.tolist() == [True, False, False, False]
    np.testing.assert_allclose(overlaps, [0.09 / 0.1225, 0.0, 0.0, 0.1225], atol=1e-6)


def test_table_has_a_row_per_instance_and_class(instances_run: Path, tmp_path: Path) -> None:
    run = open_run(instances_run)
    data = open_clips(write_bag_store(tmp_path / "store"), run.needs, classes=run.classes)
    scores = Locator(run, data).locate(0)
    localisation.write_instances(tmp_path / "scores.parquet", scores, run.classes)
    rows = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert len(rows) == (20 + 19) * len(CLASSES)
    assert {row["kind"] for row in rows} == {"box", "sound"}
    boxes = [row for row in rows if row["label"] == CLASSES[1] and row["kind"] == "box"]
    best = max(boxes, key=lambda row: float(row["score"]))
    table = localisation.instance_table(run, scores, [CLASSES[1]])
    assert [*table.columns[3].cells] == [" ".join(f"{edge:.2f}" for edge in best["box"])]


def test_clip_without_video_shows_its_audio_and_without_either_is_refused(
    instances_run: Path, tmp_path: Path
) -> None:
    run = open_run(instances_run)
    single = instances(0.1, 0.9, 0.3)
    heard = replace(
        single, clip=np.ones(4, np.float32), box_scores=np.zeros((0, 4), np.float32),
        segment_scores=np.repeat(single.segment_scores, 4, axis=1),
    )  # fmt: skip
    path = tmp_path / "out.png"
    save_instances(path, heard, 2, "$\\frac$", [], "data set x")
    height, width = imread(path).shape[:2]
    assert 0 < height < width / 5  # no room is kept for frames
    assert localisation.instance_table(run, heard, ["Speech"]).row_count == 1
    heard.refuse_empty(Path("a.wav"), run)
    empty = replace(heard, segment_starts=np.zeros(0), segment_scores=np.zeros((0, 4), np.float32))
    with pytest.raises(UsageError, match="has neither video nor audio of the kind that"):
        empty.refuse_empty(Path("a.wav"), run)


def test_scores_are_written_before_the_figures(
    instances_run: Path, film: Path, tmp_path: Path
) -> None:
    run = open_run(instances_run)
    data = open_clips(write_bag_store(tmp_path / "store"), run.needs, classes=run.classes)
    scores = Locator(run, data).locate(0)
    out = tmp_path / "out"
    localise.save_localisation(out, film, run, scores, CLASSES[:2])
    assert {path.name for path in out.iterdir()} == {"Dog.png", "Car.png", "scores.parquet"}
    assert scores.seconds == 10  # the film has one second: its last frame stands for the others


def boxes_of(seconds: int, best: int) -> InstanceScores:
    """Two boxes a second, the best one in second `best`."""
    rows = 2 * seconds
    scores = np.linspace(0, 0.5, rows, dtype=np.float32)[:, None]
    scores[2 * best + 1] = 0.9
    return replace(
        instances(0.1, 0.9, 0.3, seconds=seconds),
        boxes=np.tile(np.array([LEFT, RIGHT], np.float32), (seconds, 1)),
        box_seconds=np.repeat(np.arange(seconds), 2), box_scores=scores,
    )  # fmt: skip


@pytest.mark.parametrize(("seconds", "best"), [(1, 0), (10, 3), (25, 7), (60, 59)])
def test_frames_stand_above_their_seconds_and_the_best_one_is_among_them(
    seconds: int, best: int
) -> None:
    frames = [np.zeros((60, 80, 3), np.uint8)] * seconds
    figure = instance_figure(boxes_of(seconds, best), 0, "Dog", frames, "data set x")
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    shown = {ax.get_title(): ax for ax in figure.axes if ax.get_title()}
    assert [title for title in shown if "best" in title] == [f"{best} s, best"]
    strips = [ax for ax in figure.axes if ax.get_ylabel() in ("boxes", "audio")]
    assert [ax.get_xlim() for ax in strips] == [(0, seconds)] * 2
    left, right = (strip.transData.transform((0, 0))[0] for strip in strips)
    assert left == pytest.approx(right)
    for title, ax in shown.items():
        second = int(title.split()[0])
        box = ax.get_window_extent()
        start, end = (strips[0].transData.transform((at, 0))[0] for at in (second, second + 1))
        width = max(1, seconds / 10)
        assert box.x0 - width * (end - start) < start < end < box.x1 + width * (end - start)
    assert [ax.get_ylabel() for ax in figure.axes][-1] == "scaled score"


def test_title_of_a_localisation_says_where_the_run_comes_from(
    instances_run: Path, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = []
    monkeypatch.setattr(
        "models.applications.localisation_figures.save",
        lambda figure, path: titles.append(figure.get_suptitle()),
    )
    run = open_run(instances_run)
    data = open_clips(write_bag_store(tmp_path / "store"), run.needs, classes=run.classes)
    localise.save_localisation(tmp_path, film, run, Locator(run, data).locate(0), CLASSES[:1])
    assert "two_stream: data set demo, weights seeded:0, subset " in titles[0]
    assert RunResults.read(instances_run / "results.json").subset_id in titles[0]
