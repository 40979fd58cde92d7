"""Which of many candidate boxes of a frame are kept: no two alike, of every size, the whole frame.

Letters: P boxes.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from extractors.base import Array

WHOLE_FRAME = np.array([0.0, 0.0, 1.0, 1.0], dtype=np.float32)
SIZES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shares of the frame at which one class of size ends and the next begins."""


def whole_frame() -> tuple[Array, Array]:
    """Return the box round the whole frame, [1, 4], and its score 0, [1]."""
    return WHOLE_FRAME[None].copy(), np.zeros(1, dtype=np.float32)


def spread_boxes(boxes: Array, score: Array, most: int, overlap: float) -> tuple[Array, Array]:
    """Return at most `most` boxes and their scores, best first, the whole frame last with score 0.

    `boxes` [P, 4] are shares of the frame. Of boxes whose intersection over union is above
    `overlap` the best is kept (non-maximum suppression; the whole frame comes before all). Then
    sizes take turns, each with its best box that is left, until there are enough.
    """
    whole, nothing = whole_frame()
    candidates = np.concatenate([whole, boxes])
    rating = np.concatenate([np.full(1, np.inf, np.float32), score])
    kept = nms(torch.from_numpy(candidates), torch.from_numpy(rating), overlap).numpy()
    chosen = np.sort(in_turns(size_classes(candidates[kept[1:]]), most - 1))
    rows = kept[1:][chosen]
    return np.concatenate([candidates[rows], whole]), np.concatenate([rating[rows], nothing])


def size_classes(boxes: Array) -> NDArray[np.int64]:
    """Return the number of each box's class of size, [P]: 0 for the smallest."""
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.digitize(area, SIZES).astype(np.int64)


def in_turns(classes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the places of at most `most` items: classes take turns, each with its next item.

    >>> in_turns(np.array([0, 0, 0, 2, 1]), 4).tolist()
    [0, 4, 3, 1]
    """
    turn = np.array([np.sum(classes[:place] == own) for place, own in enumerate(classes)], np.int64)
    return np.lexsort((classes, turn))[:most].astype(np.int64)
