"""Boxes of middle frames under each recipe, and the features under them."""

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from extractors.nets.calibration_inputs import draw_frames
from extractors.nets.shared import Net
from extractors.proposals import RegionProposals, enlarged, reduced, region_features
from extractors.regions.choice import size_classes
from schemas.recipe import RECIPES

RECIPE = RECIPES["llp-eccv20"]
WHOLE = [0.0, 0.0, 1.0, 1.0]


class Ramp:
    """A net whose map holds each cell's column in one channel and its row in the other."""

    device = torch.device("cpu")

    def __call__(self, frames: Tensor) -> Tensor:
        row, column = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
        return torch.stack([column, row]).expand(len(frames), -1, -1, -1)


def test_feature_of_a_box_is_the_mean_of_the_map_under_it() -> None:
    """Cell k of the map covers k to k + 1 and has its value at k + 0.5."""
    extractor = RegionProposals()
    extractor._net = cast(Net, Ramp())
    frame = draw_frames(1, 240, seed=3)[0]
    ((kept, feature),) = extractor.compute([[extractor.reduce(frame)]])
    inside = ((kept.boxes > 0.12) & (kept.boxes < 0.88)).all(axis=1)
    assert inside.any()
    assert feature.shape[1] == 1
    x0, y0, x1, y1 = kept.boxes[inside].T
    expected = np.stack([(x0 + x1) / 2 * 9 - 0.5, (y0 + y1) / 2 * 7 - 0.5], axis=1)
    np.testing.assert_allclose(feature[inside, 0], expected, atol=1e-3)


def test_boxes_are_aligned_with_the_cells_of_the_map() -> None:
    """Worked out by hand: nine samples of each box, bilinear between the middles of cells.

    Cell 4 r + c lies at (c + 0.5, r + 0.5). The first box is cell 5 and sampled evenly round its
    middle. The second lies at the upper edge, where samples above the middle of the first row take
    that row: rows 0, 0, 1/3, so 2 + 4 / 9. The third has samples at -1/6, 1/2 and 7/6 from the
    middle of the first cell, cut at 0: 5 (0 + 1/2 + 7/6) / 3.
    """
    cells = torch.arange(16.0).reshape(1, 1, 4, 4)
    boxes = np.array([[0.25, 0.25, 0.5, 0.5], [0.5, 0.0, 0.75, 0.25], [0, 0, 0.5, 0.5]], np.float32)
    (found,) = region_features(cells, [boxes])
    np.testing.assert_allclose(found[:, 0], [5.0, 2 + 4 / 9, 25 / 9], atol=1e-5)


def test_the_whole_frame_has_the_frames_own_feature() -> None:
    maps = torch.randn(2, 5, 7, 10, generator=torch.Generator().manual_seed(1))
    boxes = np.array([[0.1, 0.2, 0.5, 0.9], WHOLE], np.float32)
    first, second = region_features(maps, [boxes, boxes[1:]])
    torch.testing.assert_close(first[1], maps[0].mean((1, 2)))
    torch.testing.assert_close(second[0], maps[1].mean((1, 2)))
    assert not torch.allclose(first[0], maps[0].mean((1, 2)), atol=1e-3)


@pytest.mark.parametrize("source", ["edgeboxes", "selective-search"])
def test_the_whole_frame_is_always_among_the_boxes(source: str) -> None:
    recipe = RECIPE.with_(proposals_source=source)
    for frame in (draw_frames(1, 240, seed=3)[0], np.full((120, 160, 3), 90, np.uint8)):
        boxes = RegionProposals(recipe).reduce(frame).boxes
        assert len(boxes) <= 10
        assert boxes[-1].tolist() == WHOLE


def test_overlap_of_the_recipe_thins_the_boxes() -> None:
    frame = draw_frames(1, 240, seed=3)[0]
    recipe = RECIPE.with_(proposals_per_snippet=100)
    counts = [
        len(RegionProposals(recipe.with_(proposals_overlap=overlap)).reduce(frame).boxes)
        for overlap in (0.2, 0.4, 0.8)
    ]
    assert counts[0] < counts[1] < counts[2]


def test_boxes_are_of_every_size() -> None:
    frame = draw_frames(1, 240, seed=3)[0]
    boxes = RegionProposals(RECIPE).reduce(frame).boxes
    assert set(size_classes(boxes)) == {0, 1, 2, 3, 4}


def test_small_and_large_frames_are_brought_into_bounds() -> None:
    assert reduced(np.zeros((8, 100, 3), np.uint8), 480).shape == (16, 100, 3)
    assert reduced(np.zeros((500, 960, 3), np.uint8), 480).shape == (250, 480, 3)
    assert reduced(np.zeros((240, 320, 3), np.uint8), 480).shape == (240, 320, 3)


def test_surroundings_are_the_box_enlarged_and_cut_at_the_frame() -> None:
    boxes = np.array([[0.4, 0.4, 0.6, 0.5], [0.0, 0.5, 0.5, 1.0], WHOLE], np.float32)
    np.testing.assert_allclose(
        enlarged(boxes, 1.8),
        [[0.32, 0.36, 0.68, 0.54], [0.0, 0.3, 0.7, 1.0], WHOLE],
        atol=1e-6,
    )
    recipe = RECIPE.with_(proposals_context="1.8x")
    extractor = RegionProposals(recipe)
    extractor._net = cast(Net, Ramp())
    ((kept, feature),) = extractor.compute([[extractor.reduce(draw_frames(1, 240, seed=3)[0])]])
    assert feature.shape == (len(kept.boxes), 2, 2)
    np.testing.assert_array_equal(feature[-1, 0], feature[-1, 1])  # nothing is round the frame
    inside = ((kept.boxes > 0.35) & (kept.boxes < 0.65)).all(axis=1)
    np.testing.assert_allclose(feature[inside, 0], feature[inside, 1], atol=1e-3)
