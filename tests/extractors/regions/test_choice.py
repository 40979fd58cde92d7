"""Which boxes are kept: no two alike, of every size, the whole frame among them."""

import numpy as np
import pytest

from extractors.base import Array
from extractors.regions.choice import in_turns, size_classes, spread_boxes
from extractors.regions.selective_search import selective_search


def squares(count: int, side: float, step: float = 0.2) -> Array:
    """Squares of one size in a row from the upper left corner."""
    left = np.arange(count) * step
    return np.stack([left, left * 0, left + side, left * 0 + side], axis=1).astype(np.float32)


def test_every_size_has_its_turn_and_the_whole_frame_is_last() -> None:
    """Four small boxes are the best, and two places of four are theirs."""
    boxes = np.concatenate([squares(4, 0.1), squares(2, 0.4, 0.5), squares(1, 0.6)])
    score = np.linspace(1.0, 0.1, len(boxes), dtype=np.float32)
    kept, rating = spread_boxes(boxes, score, 5, 0.5)
    np.testing.assert_array_equal(kept, [*boxes[[0, 1, 4, 6]], [0, 0, 1, 1]])
    np.testing.assert_array_equal(rating, [*score[[0, 1, 4, 6]], 0])


def test_of_two_boxes_that_overlap_the_better_stays() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.4], [0, 0, 0.5, 0.2]], np.float32)
    score = np.array([1.0, 0.9, 0.8], np.float32)
    for overlap, places in ((0.3, [0]), (0.7, [0, 2]), (0.9, [0, 1, 2])):
        kept, _ = spread_boxes(boxes, score, 10, overlap)
        np.testing.assert_array_equal(kept[:-1], boxes[places])


def test_almost_the_whole_frame_gives_way_to_it() -> None:
    kept, score = spread_boxes(
        np.array([[0, 0, 1, 0.95]], np.float32), np.ones(1, np.float32), 10, 0.6
    )
    assert kept.tolist() == [[0, 0, 1, 1]]
    assert score.tolist() == [0]


@pytest.mark.parametrize("most", [1, 2, 10])
def test_without_candidates_the_whole_frame_is_all(most: int) -> None:
    kept, score = spread_boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), most, 0.6)
    assert kept.tolist() == [[0, 0, 1, 1]]
    assert score.tolist() == [0]


def test_one_box_is_the_whole_frame() -> None:
    kept, _ = spread_boxes(squares(4, 0.3), np.ones(4, np.float32), 1, 0.6)
    assert kept.tolist() == [[0, 0, 1, 1]]


def test_sizes_are_octaves_of_the_area() -> None:
    sides = np.sqrt(np.array([0.01, 0.07, 0.2, 0.3, 0.9], np.float32))
    boxes = np.stack([sides * 0, sides * 0, sides, sides], axis=1)
    assert size_classes(boxes).tolist() == [0, 1, 2, 3, 4]
    assert in_turns(np.array([0, 0, 0, 2, 1]), 4).tolist() == [0, 4, 3, 1]


def test_selective_search_finds_the_square_and_the_same_every_time() -> None:
    frame = np.full((240, 320, 3), 40, dtype=np.uint8)
    frame[70:150, 60:160] = (220, 180, 60)
    boxes, score = selective_search(frame, 50)
    again, _ = selective_search(frame, 50)
    np.testing.assert_array_equal(boxes, again)
    assert len(boxes) == len(score) <= 50
    assert (np.diff(score) < 0).all()
    true = np.array([60 / 320, 70 / 240, 160 / 320, 150 / 240])
    assert np.abs(boxes - true).max(axis=1).min() < 0.03


def test_selective_search_of_a_flat_frame_ends() -> None:
    boxes, score = selective_search(np.full((120, 160, 3), 90, np.uint8), 10)
    assert len(boxes) == len(score) <= 1
