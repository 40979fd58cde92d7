"""Parts of PSDS on a few events: false alarms, confusions, thresholds, the area under curves."""

import numpy as np
import pytest

from models.tasks import psds
from models.tasks.event_scores import EventList
from models.tasks.psds import Overlaps, Scenario, Truth, area, operating_points, staircase

Row = tuple[int, int, float, float]


def events(*rows: Row) -> EventList:
    """Events from rows of clip, class, onset and offset."""
    clip, label, onset, offset = zip(*rows, strict=True)
    return EventList(
        clip=np.array(clip, np.int64), label=np.array(label, np.int64),
        onset=np.array(onset, np.float64), offset=np.array(offset, np.float64),
    )  # fmt: skip


TRUTH = Truth(events((1, 3, 0.0, 4.0), (0, 3, 0.0, 10.0), (0, 7, 20.0, 22.0)), [3, 7])
FOUND = events((0, 0, 0.0, 8.0), (0, 0, 9.0, 13.0), (0, 0, 20.0, 24.0), (1, 0, 0.0, 1.0))


def rates(column: int, seconds: float = 100.0, **scenario: float) -> tuple[float, float]:
    settings = {"detection": 0.7, "truth": 0.5} | scenario
    return Overlaps.of(FOUND, TRUTH).rates(column, Scenario(**settings), seconds)


def test_truth_is_ordered_by_clip_and_counted_by_class() -> None:
    assert TRUTH.events.clip.tolist() == [0, 0, 1]
    assert TRUTH.column.tolist() == [0, 1, 0]
    assert TRUTH.count.tolist() == [2, 1]
    assert TRUTH.seconds.tolist() == [14.0, 2.0]
    detection, event = TRUTH.pairs(FOUND)
    assert list(zip(detection.tolist(), event.tolist(), strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 2)
    ]  # fmt: skip


def test_detections_are_covered_by_class() -> None:
    found = Overlaps.of(FOUND, TRUTH)
    assert found.covered.tolist() == [[1.0, 0.0], [0.25, 0.0], [0.0, 0.5], [1.0, 0.0]]
    assert found.shared.tolist() == [8.0, 1.0, 2.0, 1.0]
    assert found.detection.tolist() == [0, 1, 2, 3]
    assert found.event.tolist() == [0, 0, 1, 2]


def test_detection_that_events_cover_too_little_is_a_false_alarm() -> None:
    assert rates(0) == (2 * 36.0, 0.5)
    assert rates(0, seconds=50.0) == (2 * 72.0, 0.5)
    assert rates(0, detection=0.25) == (36.0, 0.5)
    assert rates(1, detection=0.5) == (3 * 36.0, 1.0)


def test_event_is_found_by_valid_detections_alone() -> None:
    assert rates(0, truth=0.8)[1] == 0.5
    assert rates(0, truth=0.85)[1] == 0.0  # a false alarm covers another tenth of it
    assert rates(0, truth=0.85, detection=0.25)[1] == 0.5
    assert rates(0, truth=0.25)[1] == 1.0


def test_alarms_that_another_class_has_caused_cost_more() -> None:
    assert rates(0, cross=0.5, cross_weight=0.5)[0] == 72 + 0.5 * 3600 * 1 / 2
    assert rates(0, cross=0.51, cross_weight=0.5)[0] == 72
    assert rates(0, cross=0.5, cross_weight=0.0)[0] == 72
    assert rates(1, cross=1.0, cross_weight=1.0)[0] == pytest.approx(4 * 36 + 3600 * 2 / 14)
    alone = Truth(events((0, 3, 0.0, 10.0)), [3])
    scenario = Scenario(detection=0.7, truth=0.5, cross=0.1, cross_weight=0.5)
    assert Overlaps.of(FOUND, alone).rates(0, scenario, 100.0) == (3 * 36.0, 1.0)


def test_curve_has_the_most_hits_at_no_more_than_a_rate() -> None:
    at = np.array([0.0, 1.0, 1.5, 2.0, 9.0])
    found = staircase(at, np.array([2.0, 1.0, 1.0, 3.0]), np.array([0.9, 0.4, 0.2, 0.5]))
    assert found.tolist() == [0.0, 0.4, 0.4, 0.9, 0.9]


def test_area_is_under_the_mean_less_the_spread_up_to_a_hundred_alarms() -> None:
    def curve(rate: float, hits: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([rate]), np.array([hits])

    plain = Scenario(detection=0.5, truth=0.5)
    even = Scenario(detection=0.5, truth=0.5, spread_weight=0.0)
    assert area([curve(0, 1.0)], plain) == 1.0
    assert area([curve(25, 1.0)], plain) == pytest.approx(0.75)
    assert area([curve(150, 1.0)], plain) == 0.0
    assert area([curve(0, 1.0), curve(0, 0.5)], even) == pytest.approx(0.75)
    assert area([curve(0, 1.0), curve(0, 0.5)], plain) == pytest.approx(0.5)
    assert area([curve(0, 1.0), curve(50, 1.0)], even) == pytest.approx(0.75)
    assert (
        area([curve(0, 1.0), curve(0, 0.0)], Scenario(detection=1, truth=1, spread_weight=3)) == 0
    )


def test_thresholds_are_all_scores_but_zero_or_a_hundred_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edges = np.arange(4.0)
    found = operating_points(np.array([[0.0, 0.5, 0.25], [0.5, 0.0, 0.0]]), edges)
    assert [list(zip(one.clip, one.onset, one.offset, strict=True)) for one in found] == [
        [(0, 1.0, 3.0), (1, 0.0, 1.0)], [(0, 1.0, 2.0), (1, 0.0, 1.0)]
    ]  # fmt: skip
    many = np.arange(1, 1001).reshape(1, -1) / 1000
    wide = np.arange(1001.0)
    counts = [int(one.length.sum()) for one in operating_points(many, wide)]
    assert psds.MOST_THRESHOLDS == 100
    assert 60 < len(counts) <= 100
    assert counts == sorted(counts)
    assert (counts[:3], counts[-1]) == ([1, 2, 3], 1000)
    monkeypatch.setattr(psds, "MOST_THRESHOLDS", 1000)
    assert len(operating_points(many, wide)) == 1000
