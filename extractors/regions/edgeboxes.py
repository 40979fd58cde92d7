"""EdgeBoxes: boxes that hold whole contours, from the edges of a frame.

Paper: Zitnick & Dollar, "Edge Boxes: Locating Object Proposals from Edges", ECCV 2014.
Published code: OpenCV's `ximgproc` is used.
Differences: edges come from the image gradient unless there is the structured-edge model file; the
exponent of a box's perimeter is 1.0 for boxes that are spread over sizes (`SPREAD`), so that within
a size the larger box is not held back.

Letters: P boxes.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from extractors.base import Array


@dataclass(frozen=True, kw_only=True)
class EdgeBoxesSettings:
    """How strong edges are and what makes a box a good one."""

    strength: float
    """Strength of the strongest gradient edges. EdgeBoxes drops edges below 0.1, and its time grows
    with the edges left."""
    perimeter_power: float
    """`kappa` of the paper: the score is divided by the perimeter to this power."""


BEST = EdgeBoxesSettings(strength=0.25, perimeter_power=1.5)
"""For the boxes of the highest score: the paper's power, and the way before there was a choice."""
SPREAD = EdgeBoxesSettings(strength=0.5, perimeter_power=1.0)
"""For candidates that are thinned and spread over sizes, chosen by recall (docs/parekh.md)."""


def edge_boxes(
    frame: NDArray[np.uint8], most: int, settings: EdgeBoxesSettings, model: str | None = None
) -> tuple[Array, Array]:
    """Return boxes [P, 4] of a frame [H, W, 3] as shares and their scores [P], best first.

    P is `most` at most, and 0 where there are no edges. With the file of a `model`, edges are
    structured ones.
    """
    if model is None:
        edges, angle = gradient_edges(frame)
        edges = edges * np.float32(settings.strength)
    else:
        edges, angle = structured_edges(frame, model)
    return boxes_of_edges(edges, angle, most, settings.perimeter_power)


def gradient_edges(frame: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Return thinned edge strength in 0..1 and edge angle in 0..pi, both [H, W], of a frame.

    Scharr gradients of the slightly blurred grey frame; strength is scaled so that its 99th
    percentile (of no less than 4 grey levels, so that noise of a flat frame stays weak) becomes 1,
    and kept only where it is the largest of its neighbours across the edge.
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
    edges = np.where(keep, np.minimum(strength / scale, 1.0), 0.0).astype(np.float32)
    return edges, np.mod(across + np.pi / 2, np.pi).astype(np.float32)


def structured_edges(frame: NDArray[np.uint8], model: str) -> tuple[Array, Array]:
    """Return what `gradient_edges` gives, from OpenCV's structured forest (Dollar & Zitnick)."""
    forest = cv2.ximgproc.createStructuredEdgeDetection(model)
    edges = forest.detectEdges(frame.astype(np.float32) / 255.0)
    angle = forest.computeOrientation(edges)
    return np.asarray(forest.edgesNms(edges, angle), np.float32), np.asarray(angle, np.float32)


def boxes_of_edges(
    edges: Array, angle: Array, most: int, perimeter_power: float
) -> tuple[Array, Array]:
    """Return boxes [P, 4] as shares x0, y0, x1, y1 and their scores [P], best first, P <= `most`.

    The other settings are OpenCV's defaults (alpha 0.65, beta 0.75, boxes of at least 1000 pixels,
    no more than 1:3).
    """
    finder: Any = cv2.ximgproc.createEdgeBoxes(
        alpha=0.65, beta=0.75, eta=1.0, minScore=0.01, maxBoxes=most, edgeMinMag=0.1,
        edgeMergeThr=0.5, clusterMinMag=0.5, maxAspectRatio=3.0, minBoxArea=1000.0, gamma=2.0,
        kappa=perimeter_power,
    )  # fmt: skip
    corners_and_sizes, score = finder.getBoundingBoxes(edges, angle)
    height, width = edges.shape
    x, y, w, h = np.asarray(corners_and_sizes, dtype=np.float32).reshape(-1, 4).T
    corners = np.stack([x / width, y / height, (x + w) / width, (y + h) / height], axis=1)
    boxes: Array = np.clip(corners, 0.0, 1.0).astype(np.float32)
    return boxes, np.asarray(score, dtype=np.float32).ravel()[: len(boxes)]
