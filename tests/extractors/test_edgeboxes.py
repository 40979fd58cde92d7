"""Edges and boxes of one frame: where they are, and that they are the same every time."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extractors.edgeboxes import EdgeBoxes, edge_boxes, gradient_edges
from extractors.nets.calibration_inputs import draw_frames
from extractors.nets.shared import Net


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


class Ramp:
    """A net whose map holds each cell's column in one channel and its row in the other."""

    device = torch.device("cpu")

    def __call__(self, frames: Tensor) -> Tensor:
        row, column = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
        return torch.stack([column, row]).expand(len(frames), -1, -1, -1)


def test_feature_of_a_box_is_the_mean_of_the_map_under_it() -> None:
    """Cell k of the map covers k to k + 1 and has its value at k + 0.5."""
    extractor = EdgeBoxes()
    extractor._net = cast(Net, Ramp())
    ((kept, feature),) = extractor.compute([[extractor.reduce(square())]])
    inside = ((kept.boxes > 0.12) & (kept.boxes < 0.88)).all(axis=1)
    assert inside.any()
    x0, y0, x1, y1 = kept.boxes[inside].T
    expected = np.stack([(x0 + x1) / 2 * 9 - 0.5, (y0 + y1) / 2 * 7 - 0.5], axis=1)
    np.testing.assert_allclose(feature[inside], expected, atol=1e-3)


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
    frame = draw_frames(1, 240, seed=3)[0]
    dice = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        ballast = [np.empty(dice.integers(1, 100_000)) for _ in range(3)]
        edges, angle = gradient_edges(frame)
        seen.add((edges.tobytes(), angle.tobytes()))
        del ballast  # the next arrays lie elsewhere
    assert len(seen) == 1
