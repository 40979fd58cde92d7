"""Scores of sound event detection, against sed_eval 0.2.1 and psds_eval 0.5.3, and by meaning.

`tests/golden/sound_events.json` holds made-up scores and true events of 12 clips of ten seconds,
and what the two packages said of them; PSDS from every threshold that tells two scores apart.
"""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.tasks import event_scores
from models.tasks.event_scores import EventList, activity, event_based, runs, segment_based
from models.tasks.psds import psds
from tests.places import GOLDENS

GOLDEN: dict[str, Any] = json.loads((GOLDENS / "sound_events.json").read_text())
SCORES, EDGES = np.array(GOLDEN["scores"]), np.array(GOLDEN["edges"])
CLIPS, _, CLASSES = SCORES.shape


def events(*rows: tuple[float, float, float, float]) -> EventList:
    """Events from rows of clip, class, onset and offset."""
    table = np.array(rows, np.float64).reshape(-1, 4)
    clip, label = table[:, :2].astype(np.int64).T
    return EventList(clip=clip, label=label, onset=table[:, 2], offset=table[:, 3])


TRUE = events(*map(tuple, GOLDEN["true"]))
FOUND = runs(GOLDEN["cut"] <= SCORES, EDGES)


def test_segment_based_scores_are_those_of_sed_eval() -> None:
    found, wanted = segment_based(TRUE, FOUND, CLIPS, CLASSES), GOLDEN["segment"]
    assert found.f1 == pytest.approx(wanted["f1"], abs=1e-12)
    assert found.error_rate == pytest.approx(wanted["er"], abs=1e-12)
    np.testing.assert_allclose(found.class_f1, wanted["class_f1"], atol=1e-12)


def test_event_based_scores_are_those_of_sed_eval() -> None:
    found, wanted = event_based(TRUE, FOUND, CLASSES), GOLDEN["event"]
    assert found.f1 == pytest.approx(wanted["f1"], abs=1e-12)
    np.testing.assert_allclose(found.class_f1, wanted["class_f1"], atol=1e-12)


def test_psds_is_that_of_psds_eval() -> None:
    found = psds(SCORES, EDGES, TRUE, 10.0 * CLIPS)
    assert found == pytest.approx({name: GOLDEN[name] for name in found}, abs=1e-12)


def test_runs_are_unbroken_and_keep_to_the_edges() -> None:
    mask: NDArray[np.bool_] = np.zeros((2, 5, 2), np.bool_)
    mask[0, [0, 1, 3], 1] = mask[1, 4, 0] = True
    found = runs(mask, np.array([0.0, 0.7, 1.2, 1.7, 2.2, 3.0]))
    assert found.clip.tolist() == [0, 0, 1]
    assert found.label.tolist() == [1, 1, 0]
    assert found.onset.tolist() == [0.0, 1.7, 2.2]
    assert found.offset.tolist() == [1.2, 2.2, 3.0]


def test_an_event_touches_every_second_that_it_begins_or_ends_in() -> None:
    true, late = events((0, 0, 0.9, 2.1)), events((0, 0, 1.0, 2.0))
    assert segment_based(true, late, 1, 1).f1 == pytest.approx(2 / 4)
    other = events((0, 1, 1.0, 2.0))  # one second swapped for another class, two left out
    found = segment_based(true, other, 1, 2)
    assert (found.f1, found.error_rate) == (0.0, 1.0)


def test_a_true_event_is_paired_once_and_the_pairs_are_the_most_there_can_be() -> None:
    true = events((0, 0, 1.0, 2.0), (0, 0, 1.3, 2.3))
    found = events((0, 0, 1.15, 2.0), (0, 0, 1.0, 2.0), (0, 0, 1.05, 2.0))
    scores = event_based(true, found, 1)  # greedy pairing of the first would leave one alone
    assert scores.f1 == pytest.approx(4 / 5)
    assert event_based(true, events((0, 0, 1.0, 2.6)), 1).f1 == 0.0
    assert event_based(true, events((1, 0, 1.0, 2.0)), 1).f1 == 0.0


def test_events_without_length_do_not_count_and_nothing_is_undefined() -> None:
    empty, point = events(), events((0, 0, 0.0, 0.0))
    assert np.isnan(event_based(point, empty, 1).f1)
    assert np.isnan(segment_based(point, empty, 1, 1).f1)
    assert np.isnan(segment_based(point, empty, 1, 1).error_rate)
    silent = psds(np.zeros((1, 2, 1)), np.array([0.0, 1.0, 2.0]), point, 2.0)
    assert all(np.isnan(value) for value in silent.values())


def test_psds_of_perfect_scores_is_one_and_of_no_scores_zero() -> None:
    edges = np.arange(11.0)
    true = events((0, 0, 2.0, 5.0), (0, 1, 4.0, 6.0), (1, 0, 0.0, 1.0))
    scores = np.zeros((2, 10, 2))
    scores[0, 2:5, 0], scores[0, 4:6, 1], scores[1, 0, 0] = 0.9, 0.4, 0.2
    assert psds(scores, edges, true, 20.0) == {"psds1": 1.0, "psds2": 1.0}
    assert psds(0 * scores, edges, true, 20.0) == {"psds1": 0.0, "psds2": 0.0}


def test_many_scores_are_tried_at_a_hundred_thresholds() -> None:
    random = np.random.default_rng(0)
    finer = SCORES + 1e-3 * random.random(SCORES.shape)
    found = psds(finer, EDGES, TRUE, 10.0 * CLIPS)
    assert found == pytest.approx({name: GOLDEN[name] for name in found}, abs=0.03)


def test_seconds_may_be_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    true, found = events((0, 0, 0.9, 2.1)), events((0, 0, 1.0, 2.0))
    monkeypatch.setattr(event_scores, "RESOLUTION_S", 0.5)
    assert segment_based(true, found, 1, 1).f1 == pytest.approx(2 * 2 / (2 * 2 + 2))
    mask = event_scores.activity(events((1, 0, 0.5, 1.2), (0, 1, 2.0, 2.0)), (2, 6, 2))
    assert np.argwhere(mask).tolist() == [[1, 1, 0], [1, 2, 0]]


def test_ends_agree_within_the_collar_or_half_of_the_event() -> None:
    true = events((0, 0, 10.0, 11.0))
    for onset, offset, same in (
        (10.2, 11.0, 1), (10.21, 11.0, 0), (9.8, 11.0, 1), (9.79, 11.0, 0), (10.0, 11.5, 1),
        (10.0, 11.51, 0), (10.0, 10.5, 1), (10.0, 10.49, 0),
    ):  # fmt: skip
        near = events((0, 0, onset + 1e-9 * (10 - onset), offset + 1e-9 * (11 - offset)))
        assert event_scores.matched(true, near) == same
    short = events((0, 0, 10.0, 10.1))
    assert event_scores.matched(short, events((0, 0, 10.0, 10.29))) == 1
    assert event_scores.matched(short, events((0, 0, 10.0, 10.31))) == 0


def test_events_are_grouped_by_clip_and_class() -> None:
    true = events((1, 2, 0, 1), (0, 2, 0, 2), (1, 2, 3, 4), (1, 0, 0, 1))
    found = events((1, 2, 5, 6), (0, 1, 0, 1), (1, 0, 7, 8))
    groups = {
        label: (one.onset.tolist(), other.onset.tolist())
        for label, one, other in event_scores.by_clip_and_class(true, found)
    }
    assert groups == {2: ([0.0, 3.0], [5.0]), 0: ([0.0], [7.0])}
    assert list(event_scores.by_clip_and_class(true, events())) == []


def test_activity_has_the_seconds_that_are_asked_for() -> None:
    found = activity(events((0, 1, 1.5, 4.0)), (1, 4, 2))
    assert found.shape == (1, 4, 2)
    assert found[0, :, 1].tolist() == [False, True, True, True]
    assert not found[0, :, 0].any()


def test_onsets_a_whole_collar_apart_agree() -> None:
    assert event_scores.COLLAR_S == 0.2
    true = events((0, 0, 0.0, 1.0))
    assert event_scores.matched(true, events((0, 0, 0.2, 1.0))) == 1
    assert event_scores.matched(true, events((0, 0, np.nextafter(0.2, 1), 1.0))) == 0
