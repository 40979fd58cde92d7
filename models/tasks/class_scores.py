"""What a tagging net says of each class of a split, and what a fusion gains on it.

Letters: N clips, C classes.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.data.scored import ScoredClips
from models.metrics import average_precision, d_prime, roc_auc
from models.tasks.calibration import expected_calibration_error
from models.tasks.intervals import gain_intervals

ByClass = dict[str, dict[str, float | None]]
"""Name of a score to the name of a class to its value; None where it is undefined."""
MOST_PAIRS = 2**24
"""Clips times classes up to which gains have an interval; the draws take a minute there."""

logger = logging.getLogger(__name__)


def class_scores(
    scores: NDArray[np.float32],
    labels: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    names: Sequence[str],
    probabilities: NDArray[np.float64] | None = None,
) -> ByClass:
    """Return what is known of each class: clips with it, F1, AP, ROC AUC, d', calibration error.

    Scores, labels and probabilities are [N, C]. The error is that of the `probabilities`, or of
    the scores without them. None where a score is undefined.
    """
    predicted = scores >= thresholds
    below = predicted.sum(axis=0) + labels.sum(axis=0)
    f1 = np.where(below > 0, 2 * (predicted & labels).sum(axis=0) / np.maximum(below, 1), np.nan)
    auc = roc_auc(scores, labels)
    said = scores if probabilities is None else probabilities
    columns = {
        "support": labels.sum(axis=0),
        "f1": f1,
        "ap": average_precision(scores, labels),
        "auc": auc,
        "dprime": np.array([d_prime(value) for value in auc]),
        "ece": np.array(
            [expected_calibration_error(*pair) for pair in zip(said.T, labels.T, strict=True)]
        ),
    }
    return {name: by_name(values, names) for name, values in columns.items()}


def class_gains(
    scores: NDArray[np.float32], labels: NDArray[np.bool_], clips: ScoredClips, rows: Tensor
) -> ByClass:
    """Return the AP of each net that a fusion reads, and how far the fusion is above the best.

    Scores and labels [N, C] are those of the clips `rows` [N]. The gain has the ends of its 95 %
    bootstrap interval over clips, but for splits of more than `MOST_PAIRS`.
    """
    single = {side: table.read(rows.cpu().numpy()) for side, table in clips.scores.items()}
    precision = {side: average_precision(own, labels) for side, own in single.items()}
    best = np.fmax.reduce(list(precision.values()))
    columns: dict[str, NDArray[Any]] = {
        **{f"{side}_ap": values for side, values in precision.items()},
        "gain": average_precision(scores, labels) - best,
    }
    if labels.size <= MOST_PAIRS:
        low, high = gain_intervals(scores, list(single.values()), labels)
        columns |= {"gain_low": low, "gain_high": high}
    else:
        logger.info("%d clips are too many for intervals of the gains of classes", len(labels))
    return {name: by_name(values, clips.vocabulary.names) for name, values in columns.items()}


def by_name(values: NDArray[Any], names: Sequence[str]) -> dict[str, float | None]:
    """Return values of each class, [C], by its name; None for one that is not finite."""
    return {label: finite(value) for label, value in zip(names, values, strict=True)}


def finite(value: float) -> float | None:
    """Return a number; None for one that is not finite."""
    return float(value) if np.isfinite(value) else None
