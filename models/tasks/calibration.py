"""Scores as probabilities: Platt's sigmoid, and how far scores are from what they say.

Letters: N clips, C classes.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from models.contract.report import Calibration

BINS = 15
"""Bins of equal width of the expected calibration error."""
MARGIN = 1e-6
"""Scores count as this far from 0 and 1 at least, so that their logits are finite."""

Scores = NDArray[np.floating]


def fit_calibration(
    scores: Scores, labels: NDArray[np.bool_], fitted_on: str
) -> Calibration | None:
    """Return Platt's sigmoid over all pairs of clip and class; scores and labels are [N, C].

    The two numbers minimise the cross-entropy with Platt's targets, which stay off 0 and 1. None
    when no pair or every pair is true, or when higher scores are true less often. Source: Platt,
    "Probabilistic outputs for support vector machines", 1999.
    """
    true, false = int(labels.sum()), int((~labels).sum())
    if not true or not false:
        return None
    target = np.where(labels, (true + 1) / (true + 2), 1 / (false + 2))
    logits, wanted = torch.from_numpy(to_logits(scores)), torch.from_numpy(target)
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = F.binary_cross_entropy_with_logits(line[0] * logits + line[1], wanted)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    slope, offset = line.tolist()
    if not (np.isfinite([slope, offset]).all() and slope > 0.0):
        return None
    return Calibration(fitted_on=fitted_on, slope=slope, offset=offset)


def calibrated(scores: Scores, calibration: Calibration) -> NDArray[np.float64]:
    """Return scores of any shape as probabilities; their order stays."""
    line = calibration.slope * to_logits(scores) + calibration.offset
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(line, -500.0, 500.0))), np.float64)


def to_logits(scores: Scores) -> NDArray[np.float64]:
    """Return ln(s / (1 - s)) of scores from 0 to 1."""
    safe = np.clip(np.asarray(scores, np.float64), MARGIN, 1.0 - MARGIN)
    return np.asarray(np.log(safe) - np.log1p(-safe), np.float64)


def expected_calibration_error(scores: Scores, labels: NDArray[np.bool_]) -> float:
    """Return the mean distance between what scores say and what is true, by bins of scores.

    Scores and labels have one shape and are taken together; each of the 15 bins counts by its
    pairs. Source: Guo et al., "On calibration of modern neural networks", ICML 2017.

    >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    flat, true = np.asarray(scores, np.float64).ravel(), labels.ravel()
    place = np.minimum((flat * BINS).astype(np.int64), BINS - 1)
    said = np.bincount(place, flat, BINS)
    held = np.bincount(place, true.astype(np.float64), BINS)
    return float(np.abs(said - held).sum() / max(1, len(flat)))
