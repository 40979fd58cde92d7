"""Edges and boxes of one frame: where they are, and that they are the same every time."""

import numpy as np
from numpy.typing import NDArray

from extractors.edgeboxes import edge_boxes, gradient_edges
from extractors.nets.calibration_inputs import draw_pictures


def square() -> NDArray[np.uint8]:
    """A bright square of 100 x 80 pixels at (60, 70) on a dark ground of 240 x 320."""
    frame = np.full((240, 320, 3), 40, dtype=np.uint8)
    frame[70:150, 60:160] = (220, 180, 60)
    return frame


def test_edges_run_along_the_square() -> None:
    edges, _ = gradient_edges(square())
    assert edges.shape == (240, 320)
    rows, columns = np.nonzero(edges > edges.max() / 2)
    assert 68 <= rows.min() <= 71
    assert 148 <= rows.max() <= 151
    assert 58 <= columns.min() <= 61
    assert 158 <= columns.max() <= 161


def test_one_of_the_boxes_is_the_square() -> None:
    boxes, score = edge_boxes(*gradient_edges(square()), most=10)
    assert len(boxes) == len(score) <= 10
    assert (np.diff(score) <= 0).all()
    true = np.array([60 / 320, 70 / 240, 160 / 320, 150 / 240])
    low, high = np.maximum(boxes[:, :2], true[:2]), np.minimum(boxes[:, 2:], true[2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = area + np.prod(true[2:] - true[:2]) - common
    assert (common / union).max() > 0.7


def test_flat_frame_gives_the_whole_frame() -> None:
    boxes, score = edge_boxes(*gradient_edges(np.full((120, 160, 3), 90, np.uint8)), most=10)
    assert boxes.tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert score.tolist() == [0.0]


def test_edges_do_not_depend_on_where_arrays_lie() -> None:
    frame = draw_pictures(1, 240, seed=3)[0]
    dice = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        ballast = [np.empty(dice.integers(1, 100_000)) for _ in range(3)]
        edges, angle = gradient_edges(frame)
        seen.add((edges.tobytes(), angle.tobytes()))
        del ballast  # the next arrays lie elsewhere
    assert len(seen) == 1
