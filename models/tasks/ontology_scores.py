"""Scores of tagging that know which class is a kind of which.

- `map_ancestors`: mean average precision after every clip has its labels' ancestors too, and every
  class the highest score of its kinds. Labels are propagated so in FSD50K (Fonseca et al., "FSD50K:
  an open dataset of human-labeled sound events", TASLP 2022).
- `omap`: ontology-aware mean average precision (Liu et al., "Ontology-aware learning and evaluation
  for audio tagging", https://arxiv.org/abs/2211.12195): a false positive counts by its distance in
  the ontology from the nearest label of the clip, and at a level not at all within so many steps;
  the mean over the levels.
- mean average precision of the classes at each depth of the ontology.

Letters: N clips, C classes, L levels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.metrics import average_precision
from schemas.manifests.ontology import Ontology

Values = NDArray[np.float64]


def ontology_scores(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], ontology: Ontology,
    classes: Sequence[str],
) -> tuple[dict[str, float], dict[str, list[float | None]]]:  # fmt: skip
    """Return `map_ancestors` and `omap`, and the lists `omap_by_level` and `map_by_depth`.

    Scores and labels are [N, C]. Means are over the classes that some clips have and some have not;
    NaN, and None in a list, without any.
    """
    kinds = ontology.ancestors(classes)
    wide, wider = propagated(labels, kinds), propagated(scores, kinds)
    by_level = omap_by_level(scores, labels, ontology.distances(classes))
    ranked = np.where(counted(labels), average_precision(scores, labels), np.nan)
    depths = ontology.depths(classes)
    by_depth = [mean(ranked[depths == depth]) for depth in range(1, int(depths.max()) + 1)]
    values = {
        "map_ancestors": mean(np.where(counted(wide), average_precision(wider, wide), np.nan)),
        "omap": mean(np.array(by_level)),
    }
    lists = {"omap_by_level": by_level, "map_by_depth": by_depth}
    return values, {
        name: [value if np.isfinite(value) else None for value in own]
        for name, own in lists.items()
    }


def counted(labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which classes some clips have and some have not, [C]."""
    return np.asarray(labels.any(axis=0) & ~labels.all(axis=0))


def mean(values: Values) -> float:
    """Return the mean of the values that are numbers; NaN without any."""
    held = values[~np.isnan(values)]
    return float(held.mean()) if len(held) else float("nan")


def propagated(values: NDArray[Any], kinds: NDArray[np.bool_]) -> NDArray[Any]:
    """Return of each class the highest value of its kinds: [N, C], with `kinds` [C, C] to [N, C].

    >>> propagated(np.array([[0.9, 0.2]]), np.array([[True, True], [False, True]])).tolist()
    [[0.9, 0.9]]
    """
    columns = [values[:, kinds[:, column]].max(axis=1) for column in range(kinds.shape[1])]
    return np.stack(columns, axis=1)


def omap_by_level(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], distances: NDArray[np.int64]
) -> list[float]:
    """Return the mean average precision at each level, [L] from 0 to the longest distance.

    The weight of a false positive is its distance, over the mean distance of two classes of those
    that count at the level. A clip without labels is as far as possible from every class.
    """
    longest = int(distances.max())
    near = np.full(labels.shape, longest, np.int64)
    for clip, held in enumerate(labels):
        if held.any():
            near[clip] = distances[held].min(axis=0)
    usable = np.flatnonzero(counted(labels))
    apart = distances[~np.eye(len(distances), dtype=bool)].astype(np.float64)
    ranks = [np.argsort(-scores[:, column], kind="stable") for column in usable]
    found = []
    for level in range(longest + 1):
        scale = apart[apart > level].sum() / max(1, len(apart))
        weights = np.where(near > level, near, 0) / (scale or 1.0)
        values = [
            weighted_precision(scores[order, one], labels[order, one], weights[order, one])
            for one, order in zip(usable, ranks, strict=True)
        ]
        found.append(mean(np.array(values)))
    return found


def weighted_precision(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], weights: Values
) -> float:
    """Return average precision where false positives have weights; all [N], by falling score.

    >>> weighted_precision(np.array([0.9, 0.5]), np.array([False, True]), np.array([3.0, 0.0]))
    0.25
    """
    true, false = np.cumsum(labels), np.cumsum(np.where(labels, 0.0, weights))
    last = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)  # end of each tie
    gained, hits = np.diff(true[last], prepend=0), true[last]
    precision = hits / np.maximum(hits + false[last], 1e-12)
    return float((gained * precision).sum() / hits[-1])
