"""Region proposals: EdgeBoxes on each second's middle frame, with a ResNet-152 feature for each.

Papers: Zitnick & Dollar, "Edge Boxes: Locating Object Proposals from Edges", ECCV 2014; used by
    Parekh et al., "Weakly Supervised Representation Learning for Audio-Visual Scene Analysis".
Differences: edges come from the image gradient unless the structured-edge model file is asked for
(`proposals_edges`); features are the mean of ResNet-152's last map under the box (RoIAlign), not
CaffeNet's.

Letters: P boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import roi_align

from extractors.base import Array, LoadOptions, finite
from extractors.frames import FrameExtractor, batches, resized, scaled_size
from extractors.nets.weights import WEIGHTS, find_weights
from extractors.resnet152 import normalised
from schemas.media import ClipMedia, Proposals
from schemas.recipe import RECIPES, Recipe

EDGE_SIDE = 480
"""Longer frames are reduced to this longer side before edges are sought, in pixels."""
STRONG = 0.25
"""Strength of the strongest gradient edges. EdgeBoxes drops edges below 0.1, and its time grows
with the edges left: 0.28 s for 10 frames of 320x240 at 0.25, 0.97 s at 0.5, 2.1 s at 1."""
NET_SIDE = 224
"""Shorter side of the frame that the net sees, in pixels."""
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


class EdgeBoxes(FrameExtractor):
    """The best boxes of each second's middle frame (frame 4 of 8), best first: `Proposals`.

    A frame has `proposals_per_snippet` boxes at most, fewer where EdgeBoxes finds fewer, and one
    box round the whole frame with score 0 where it finds none.
    """

    name = "proposals"

    def __init__(self, recipe: Recipe = RECIPES["llp-eccv20"]) -> None:
        super().__init__(recipe)
        self._edge_model: str | None = None
        self._edge_hash: dict[str, str] = {}

    @property
    def provenance(self) -> Mapping[str, str]:
        """sha256 of each weight file, or `seeded:<n>`."""
        return {**super().provenance, **self._edge_hash}

    def open(self, options: LoadOptions) -> None:
        """Take the net, and the model of structured edges where the recipe wants it."""
        if self.recipe.proposals_edges == "structured":
            path, self._edge_hash = find_weights(WEIGHTS["structured_edges"], options.weights_dir)
            self._edge_model = str(path)
        super().open(options)

    def frame_offsets(self, per_snippet: int) -> Sequence[int]:
        """Return the middle frame's."""
        return (per_snippet // 2,)

    def reduce(self, frame: NDArray[np.uint8]) -> _FrameBoxes:
        """Return boxes of a frame [H, W, 3], and the frame at the size that the net takes."""
        height, width = frame.shape[:2]
        shrink = min(1.0, EDGE_SIDE / max(height, width))
        size = max(16, round(width * shrink)), max(16, round(height * shrink))
        shrunk = frame if shrink == 1.0 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        small = np.asarray(shrunk, np.uint8)
        if self._edge_model is None:
            edges, angle = gradient_edges(small)
        else:
            edges, angle = structured_edges(small, self._edge_model)
        boxes, score = edge_boxes(edges, angle, self.recipe.proposals_per_snippet)
        long_side = 3 * NET_SIDE  # bounds the cost of a very long frame
        net_size = np.minimum(scaled_size(frame, NET_SIDE), long_side)
        return _FrameBoxes(boxes, score, resized(frame, *map(int, net_size)))

    def compute(self, seconds: Sequence[Sequence[_FrameBoxes]]) -> list[tuple[_FrameBoxes, Array]]:
        """Return each frame's boxes with their features [P, 2048]."""
        frames = [kept for (kept,) in seconds]
        size = CPU_BATCH if self.net.device.type == "cpu" else len(frames)
        return [row for part in batches(frames, size) for row in self._features(part)]

    def _features(self, frames: Sequence[_FrameBoxes]) -> list[tuple[_FrameBoxes, Array]]:
        feature_map = self.net(normalised(np.stack([kept.small for kept in frames])))
        rows, columns = feature_map.shape[2:]
        cells = torch.tensor([columns, rows, columns, rows], dtype=torch.float32)
        boxes = [torch.from_numpy(kept.boxes) * cells for kept in frames]
        rois = roi_align(feature_map, boxes, ROI_BINS, aligned=True).mean((2, 3))
        features = rois.split([len(b) for b in boxes])
        return [(kept, own.numpy()) for kept, own in zip(frames, features, strict=True)]

    def join(self, parts: Sequence[list[tuple[_FrameBoxes, Array]]], media: ClipMedia) -> Proposals:
        """Return all boxes of the clip."""
        seconds = [second for part in parts for second in part]
        counts = [len(kept.score) for kept, _ in seconds]
        second = np.repeat(np.arange(len(seconds), dtype=np.int32), counts)
        (offset,) = self.frame_offsets(media.per_snippet)
        feature = np.concatenate([feature for _, feature in seconds])
        return Proposals(
            snippet_index=second,
            frame_index=(second * media.per_snippet + offset).astype(np.int32),
            rank=np.concatenate([np.arange(n, dtype=np.int32) for n in counts]),
            boxes=np.concatenate([kept.boxes for kept, _ in seconds]),
            score=np.concatenate([kept.score for kept, _ in seconds]),
            feature=finite(feature, media.clip_key, self.name),
        )


def gradient_edges(frame: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Return thinned edge strength in 0..0.25 and edge angle in 0..pi, both [H, W], of a frame.

    Scharr gradients of the slightly blurred grey frame; strength is scaled so that its 99th
    percentile (of no less than 4 grey levels, so that noise of a flat frame stays weak) becomes
    `STRONG`, and kept only where it is the largest of its neighbours across the edge.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    dx, dy = (cv2.Scharr(grey, cv2.CV_32F, *axes) / 32.0 for axes in ((1, 0), (0, 1)))
    strength = np.sqrt(dx * dx + dy * dy)  # cv2.magnitude depends on where the arrays lie
    across = np.mod(np.arctan2(dy, dx), np.pi)
    sector = np.round(across / (np.pi / 4)).astype(np.int32) % 4
    padded = np.pad(strength, 1)
    height, width = strength.shape
    keep = np.zeros(strength.shape, dtype=np.bool_)
    for number, (right, down) in enumerate(((1, 0), (1, 1), (0, 1), (-1, 1))):
        ahead = padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        behind = padded[1 - down : 1 - down + height, 1 - right : 1 - right + width]
        keep |= (sector == number) & (strength >= ahead) & (strength > behind)
    scale = max(4.0, float(np.percentile(strength, 99)))
    edges = np.where(keep, np.minimum(strength / scale, 1.0) * STRONG, 0.0).astype(np.float32)
    return edges, np.mod(across + np.pi / 2, np.pi).astype(np.float32)


def structured_edges(frame: NDArray[np.uint8], model: str) -> tuple[Array, Array]:
    """Return what `gradient_edges` gives, from OpenCV's structured forest (Dollar & Zitnick)."""
    forest = cv2.ximgproc.createStructuredEdgeDetection(model)
    edges = forest.detectEdges(frame.astype(np.float32) / 255.0)
    angle = forest.computeOrientation(edges)
    return np.asarray(forest.edgesNms(edges, angle), np.float32), np.asarray(angle, np.float32)


def edge_boxes(edges: Array, angle: Array, most: int) -> tuple[Array, Array]:
    """Return boxes [P, 4] as shares x0, y0, x1, y1 and their scores [P], best first, P <= `most`.

    OpenCV's EdgeBoxes with its defaults (alpha 0.65, beta 0.75, boxes of at least 1000 pixels, no
    more than 1:3); the whole frame with score 0 where it finds nothing.
    """
    finder: Any = cv2.ximgproc.createEdgeBoxes(
        alpha=0.65, beta=0.75, eta=1.0, minScore=0.01, maxBoxes=most, edgeMinMag=0.1,
        edgeMergeThr=0.5, clusterMinMag=0.5, maxAspectRatio=3.0, minBoxArea=1000.0, gamma=2.0,
        kappa=1.5,
    )  # fmt: skip
    corners_and_sizes, score = finder.getBoundingBoxes(edges, angle)
    if len(corners_and_sizes) == 0:
        return np.array([[0, 0, 1, 1]], dtype=np.float32), np.zeros(1, dtype=np.float32)
    height, width = edges.shape
    x, y, w, h = np.asarray(corners_and_sizes, dtype=np.float32).reshape(-1, 4).T
    corners = np.stack([x / width, y / height, (x + w) / width, (y + h) / height], axis=1)
    boxes: Array = np.clip(corners, 0.0, 1.0).astype(np.float32)
    return boxes, np.asarray(score, dtype=np.float32).ravel()
