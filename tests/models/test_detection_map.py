"""Mean average precision of detected events against the evaluation that UnAV-100 is scored with."""

import json
from typing import Any

import pytest

from models.metrics import TIOUS, Span, detection_map
from tests.places import GOLDENS


def spans(database: dict[str, Any]) -> list[Span]:
    return [
        Span(key, one["label"], *one["segment"])
        for key, video in database.items()
        for one in video["annotations"]
    ]


def test_scores_are_those_of_the_authors_evaluation() -> None:
    golden = json.loads((GOLDENS / "unav_map.json").read_text())
    found = [
        Span(key, f"class {label}", onset, offset, score)
        for key, label, onset, offset, score in golden["found"]
    ]
    scores = detection_map(found, spans(golden["database"]))
    wanted = [*golden["map_by_overlap"], golden["map"]]
    assert list(scores.values()) == pytest.approx(wanted, abs=1e-12)
    assert list(scores) == [*(f"map_{least}" for least in TIOUS), "map"]


def test_each_true_event_is_claimed_once_and_the_best_score_first() -> None:
    true = [Span("a", "dog", 0, 10), Span("b", "dog", 0, 10)]
    right = Span("a", "dog", 0, 10, 0.5)
    assert detection_map([right], true)["map"] == 0.5
    again = Span("a", "dog", 0, 9.9, 0.4)
    other = Span("b", "dog", 0, 10, 0.3)
    assert detection_map([right, again, other], true)["map"] == pytest.approx((1 + 2 / 3) / 2)
    half = detection_map([Span("a", "dog", 0, 5, 0.9)], true)
    assert [half[f"map_{least}"] for least in (0.5, 0.6)] == [0.5, 0.0]
    assert detection_map([Span("a", "cat", 0, 10, 0.9)], true)["map"] == 0.0
    assert detection_map([], true)["map"] == 0.0


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ValueError, match="no true events"):
        detection_map([], [])
    with pytest.raises(ValueError, match="score is no number"):
        detection_map([Span("a", "dog", 0, 1, float("nan"))], [Span("a", "dog", 0, 1)])
