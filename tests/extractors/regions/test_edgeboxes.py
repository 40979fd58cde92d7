"""Edges and boxes of one frame: where they are, and that they are the same every time."""

import numpy as np
import pytest
from numpy.typing import NDArray

from extractors.nets.calibration_inputs import draw_frames
from extractors.regions.edgeboxes import (
    BEST,
    SPREAD,
    EdgeBoxesSettings,
    edge_boxes,
    gradient_edges,
)


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


def test_angle_is_that_of_the_edge_not_of_the_gradient() -> None:
    """EdgeBoxes groups edges along their own direction: pi/2 for an upright one."""
    edges, angle = gradient_edges(square())
    strong = edges > edges.max() / 2
    upright = strong[90:130, 55:65]
    level = strong[65:75, 80:140]
    assert upright.any()
    assert level.any()
    np.testing.assert_allclose(angle[90:130, 55:65][upright], np.pi / 2, atol=0.05)
    off_level = angle[65:75, 80:140][level]
    np.testing.assert_allclose(np.minimum(off_level, np.pi - off_level), 0.0, atol=0.05)


@pytest.mark.parametrize("settings", [BEST, SPREAD])
def test_one_of_the_boxes_is_the_square(settings: EdgeBoxesSettings) -> None:
    boxes, score = edge_boxes(square(), 10, settings)
    assert len(boxes) == len(score) <= 10
    assert (np.diff(score) <= 0).all()
    true = np.array([60 / 320, 70 / 240, 160 / 320, 150 / 240])
    low, high = np.maximum(boxes[:, :2], true[:2]), np.minimum(boxes[:, 2:], true[2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = area + np.prod(true[2:] - true[:2]) - common
    assert (common / union).max() > 0.7


def test_flat_frame_gives_no_box() -> None:
    boxes, score = edge_boxes(np.full((120, 160, 3), 90, np.uint8), 10, BEST)
    assert boxes.shape == (0, 4)
    assert score.shape == (0,)


def test_spread_settings_let_larger_boxes_through() -> None:
    frame = draw_frames(1, 240, seed=3)[0]
    areas = {}
    for settings in (BEST, SPREAD):
        boxes, _ = edge_boxes(frame, 50, settings)
        areas[settings] = float(np.median(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)))
    assert areas[SPREAD] > 1.3 * areas[BEST]


def test_edges_do_not_depend_on_where_arrays_lie() -> None:
    frame = draw_frames(1, 240, seed=3)[0]
    dice = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        ballast = [np.empty(dice.integers(1, 100_000)) for _ in range(3)]
        edges, angle = gradient_edges(frame)
        seen.add((edges.tobytes(), angle.tobytes()))
        del ballast  # the next arrays lie elsewhere
    assert len(seen) == 1
