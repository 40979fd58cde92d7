"""Region proposals: boxes on each second's middle frame, with a ResNet-152 feature for each.

Paper: Parekh et al., "Weakly Supervised Representation Learning for Audio-Visual Scene Analysis",
    TASLP 2019, which takes EdgeBoxes; where boxes come from is in `extractors.regions`.
Differences: features are the mean of ResNet-152's last map under the box (RoIAlign), not
CaffeNet's; the map is that of the frame at shorter side 224.

Letters: P boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import roi_align

from extractors.base import Array, LoadOptions, NotLoadedError, finite
from extractors.frames import FrameExtractor, batches, resized, scaled_size
from extractors.nets.weights import WEIGHTS, find_weights
from extractors.regions.choice import WHOLE_FRAME, spread_boxes, whole_frame
from extractors.regions.edgeboxes import BEST, SPREAD, edge_boxes
from extractors.regions.rpn import RegionNet, region_net
from extractors.regions.selective_search import selective_search
from extractors.resnet152 import normalised
from schemas.media import ClipMedia, Proposals
from schemas.recipe import RECIPES, Recipe

SEARCH_SIDE = 480
"""Longer frames are reduced to this longer side before boxes are sought, in pixels."""
CANDIDATES = 400
"""Boxes of which `proposals_choice` spread keeps some."""
NET_SIDE = 224
"""Shorter side of the frame that the net sees, in pixels."""
CONTEXT = 1.8
"""How many times as wide and high a box is with its surroundings, as in Kantorov, Oquab, Cho,
Laptev, "ContextLocNet", ECCV 2016."""
ROI_BINS = 3
"""RoIAlign takes this many bins each way before the mean."""
CPU_BATCH = 5
"""Frames in one pass of the net on a CPU."""


@dataclass(frozen=True, eq=False)
class _FrameBoxes:
    """What is kept of a middle frame."""

    boxes: Array
    score: Array
    small: NDArray[np.uint8]
    """The frame at the size that the net takes."""


class RegionProposals(FrameExtractor):
    """Boxes of each second's middle frame (frame 4 of 8), best first: `Proposals`.

    A frame has `proposals_per_snippet` boxes at most, fewer where fewer are found. With the
    recipe's `proposals_choice` spread the last of them is the whole frame with score 0; with best,
    only where nothing is found.
    """

    name = "proposals"

    def __init__(self, recipe: Recipe = RECIPES["llp-eccv20"]) -> None:
        super().__init__(recipe)
        self._edge_model: str | None = None
        self._region_net: RegionNet | None = None
        self._box_hashes: Mapping[str, str] = {}

    @property
    def provenance(self) -> Mapping[str, str]:
        """sha256 of each weight file, or `seeded:<n>`."""
        return {**super().provenance, **self._box_hashes}

    def open(self, options: LoadOptions) -> None:
        """Take the net, and what else boxes come from: structured edges, or a net of their own."""
        if self.recipe.proposals_edges == "structured":
            path, self._box_hashes = find_weights(WEIGHTS["structured_edges"], options.weights_dir)
            self._edge_model = str(path)
        if self.recipe.proposals_source == "rpn":
            self._region_net = region_net(options)
            self._box_hashes = {**self._box_hashes, **self._region_net.provenance}
        super().open(options)

    def frame_offsets(self, per_snippet: int) -> Sequence[int]:
        """Return the middle frame's."""
        return (per_snippet // 2,)

    def reduce(self, frame: NDArray[np.uint8]) -> _FrameBoxes:
        """Return boxes of a frame [H, W, 3], and the frame at the size that the net takes."""
        boxes, score = self.find(reduced(frame, SEARCH_SIDE))
        long_side = 3 * NET_SIDE  # bounds the cost of a very long frame
        net_size = np.minimum(scaled_size(frame, NET_SIDE), long_side)
        return _FrameBoxes(boxes, score, resized(frame, *map(int, net_size)))

    def find(self, frame: NDArray[np.uint8]) -> tuple[Array, Array]:
        """Return the boxes of a frame [H, W, 3] that the recipe keeps, [P, 4], and their scores."""
        recipe = self.recipe
        most, spread = recipe.proposals_per_snippet, recipe.proposals_choice == "spread"
        candidates = CANDIDATES if spread else most
        if recipe.proposals_source == "rpn":
            boxes, score = self._regions(frame, candidates)
        elif recipe.proposals_source == "selective-search":
            boxes, score = selective_search(frame, candidates)
        else:
            settings = SPREAD if spread else BEST
            boxes, score = edge_boxes(frame, candidates, settings, self._edge_model)
        if spread:
            return spread_boxes(boxes, score, most, recipe.proposals_overlap)
        return (boxes, score) if len(boxes) else whole_frame()

    def _regions(self, frame: NDArray[np.uint8], most: int) -> tuple[Array, Array]:
        if self._region_net is None:
            raise NotLoadedError(self.name)
        return self._region_net.find(frame, most)

    def compute(self, seconds: Sequence[Sequence[_FrameBoxes]]) -> list[tuple[_FrameBoxes, Array]]:
        """Return each frame's boxes with their features [P, 1, 2048]; [P, 2, 2048] with context."""
        frames = [kept for (kept,) in seconds]
        size = CPU_BATCH if self.net.device.type == "cpu" else len(frames)
        return [row for part in batches(frames, size) for row in self._features(part)]

    def _features(self, frames: Sequence[_FrameBoxes]) -> list[tuple[_FrameBoxes, Array]]:
        feature_map = self.net(normalised(np.stack([kept.small for kept in frames])))
        seen = [[kept.boxes for kept in frames]]
        if self.recipe.proposals_context != "none":
            seen.append([enlarged(kept.boxes, CONTEXT) for kept in frames])
        found = [region_features(feature_map, boxes) for boxes in seen]
        return [
            (kept, torch.stack(own, dim=1).numpy())
            for kept, own in zip(frames, zip(*found, strict=True), strict=True)
        ]

    def join(self, parts: Sequence[list[tuple[_FrameBoxes, Array]]], media: ClipMedia) -> Proposals:
        """Return all boxes of the clip."""
        seconds = [second for part in parts for second in part]
        counts = [len(kept.score) for kept, _ in seconds]
        second = np.repeat(np.arange(len(seconds), dtype=np.int32), counts)
        (offset,) = self.frame_offsets(media.per_snippet)
        found = np.concatenate([features for _, features in seconds])
        feature, *context = finite(found, media.clip_key, self.name).swapaxes(0, 1)
        return Proposals(
            snippet_index=second,
            frame_index=(second * media.per_snippet + offset).astype(np.int32),
            rank=np.concatenate([np.arange(n, dtype=np.int32) for n in counts]),
            boxes=np.concatenate([kept.boxes for kept, _ in seconds]),
            score=np.concatenate([kept.score for kept, _ in seconds]),
            feature=feature,
            context=context[0] if context else None,
        )


def reduced(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a frame [H, W, 3] with a longer side of `side` pixels at most, 16 pixels at least."""
    height, width = frame.shape[:2]
    shrink = min(1.0, side / max(height, width))
    if shrink == 1.0 and min(height, width) >= 16:
        return frame
    size = max(16, round(width * shrink)), max(16, round(height * shrink))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def enlarged(boxes: Array, scale: float) -> Array:
    """Return boxes [P, 4] so many times as wide and high about their centre, cut at the frame."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return np.concatenate([centre - half, centre + half], axis=1).clip(0.0, 1.0)


def region_features(feature_map: Tensor, boxes: Sequence[Array]) -> list[Tensor]:
    """Return the mean of maps [N, D, h, w] under each frame's boxes [P, 4]: N tensors [P, D].

    Boxes are shares of the frame, and cell k of the map covers k to k + 1 (`aligned`). The box
    round the whole frame has the frame's own feature, the mean of all cells.
    """
    rows, columns = feature_map.shape[2:]
    cells = torch.tensor([columns, rows, columns, rows], dtype=torch.float32)
    rois = [torch.from_numpy(own) * cells for own in boxes]
    features = roi_align(feature_map, rois, ROI_BINS, aligned=True).mean((2, 3))
    of_frames = feature_map.mean((2, 3))
    return [
        torch.where(torch.from_numpy((own == WHOLE_FRAME).all(axis=1))[:, None], of_frame, found)
        for own, of_frame, found in zip(
            boxes, of_frames, features.split([len(own) for own in boxes]), strict=True
        )
    ]
