"""From which score on a class is a label: thresholds tuned for micro F1.

Systems for DCASE 2017 task 4 are ranked by micro F1, the F of all (clip, class) pairs together. It
depends on the threshold, so the threshold is chosen on the validation clips, as a step of its own.

Letters: N clips, C classes.
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
ROUNDS = 20
"""Number of passes over the classes, at most."""


def best_threshold(
    scores: NDArray[np.floating],
    labels: NDArray[np.bool_],
    others: tuple[int, int, int] = (0, 0, 0),
) -> tuple[float, float]:
    """Return the threshold of the highest micro F1 and that F1, of scores and labels of one shape.

    A score that reaches the threshold is a label. `others` are true positives, false positives and
    false negatives that are counted in. Thresholds lie between two neighbouring scores, or above
    the highest one; of equal F1 the highest threshold is taken.
    """
    order = np.argsort(-scores.ravel(), kind="stable")
    ranked, true = scores.ravel()[order].astype(np.float64), labels.ravel()[order]
    tp, fp, fn = others
    hits = np.concatenate([[0], np.cumsum(true)])
    taken = np.arange(len(ranked) + 1)
    below = 2 * (tp + hits) + fp + (taken - hits) + fn + (int(true.sum()) - hits)
    f1 = 2 * (tp + hits) / np.maximum(below, 1)
    f1[1:-1][ranked[1:] == ranked[:-1]] = -1.0  # equal scores are taken together or not at all
    best = int(f1.argmax())
    above = ranked[best - 1] if best else np.nextafter(ranked[0], np.inf)
    under = ranked[best] if best < len(ranked) else np.nextafter(ranked[-1], -np.inf)
    middle = (above + under) / 2 if best else above
    return float(middle if middle > under else above), float(f1[best])


def global_threshold(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> Values:
    """Return one threshold for all classes, repeated to [C]; scores and labels are [N, C]."""
    return np.full(scores.shape[1], best_threshold(scores, labels)[0])


def class_thresholds(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> Values:
    """Return a threshold per class, [C], by coordinate ascent on micro F1 from the global one.

    One class after the other takes its best threshold while the others stand, until no class
    changes; micro F1 on these clips never falls.
    """
    thresholds = global_threshold(scores, labels)
    for _ in range(ROUNDS):
        before = thresholds.copy()
        for column in range(scores.shape[1]):
            rest = np.arange(scores.shape[1]) != column
            predicted, true = scores[:, rest] >= thresholds[rest], labels[:, rest]
            others = (
                int((predicted & true).sum()),
                int((predicted & ~true).sum()),
                int((~predicted & true).sum()),
            )  # fmt: skip
            value, reached = best_threshold(scores[:, column], labels[:, column], others)
            if reached > _micro_f1(
                scores[:, column] >= thresholds[column], labels[:, column], others
            ):
                thresholds[column] = value
        if np.array_equal(before, thresholds):
            break
    return thresholds


def _micro_f1(
    predicted: NDArray[np.bool_], true: NDArray[np.bool_], others: tuple[int, int, int]
) -> float:
    tp, fp, fn = others
    hits = tp + int((predicted & true).sum())
    return 2 * hits / max(1, int(predicted.sum()) + int(true.sum()) + 2 * tp + fp + fn)
