"""Selective search: boxes round regions that a frame falls into, merged step by step.

Paper: Uijlings, van de Sande, Gevers, Smeulders, "Selective Search for Object Recognition", IJCV
    2013. OpenCV's `ximgproc.segmentation` is used, in its fast mode.
Differences: the method orders regions by where they stand in the merging, times a random number;
here larger regions, which are made last, come first, so that a frame gives the same boxes every
time. Scores are places in that order.

Letters: P boxes.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from extractors.base import Array

SMALLEST = 1 / 64
"""Share of the frame below which a region is left out."""


def selective_search(frame: NDArray[np.uint8], most: int) -> tuple[Array, Array]:
    """Return boxes [P, 4] of a frame [H, W, 3] as shares and their scores [P], best first.

    P is `most` at most. Scores fall evenly from 1 to 0 along the list.
    """
    height, width = frame.shape[:2]
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    search.switchToSelectiveSearchFast()
    found = np.unique(np.asarray(search.process(), dtype=np.int64).reshape(-1, 4), axis=0)
    area = found[:, 2] * found[:, 3]
    found, area = (values[np.argsort(-area, kind="stable")] for values in (found, area))
    x, y, w, h = found[area >= SMALLEST * width * height][:most].T
    corners = np.stack([x / width, y / height, (x + w) / width, (y + h) / height], axis=1)
    boxes = np.clip(corners, 0.0, 1.0).astype(np.float32)
    return boxes, np.linspace(1.0, 0.0, len(boxes) + 1, dtype=np.float32)[:-1]
