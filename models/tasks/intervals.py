"""Bootstrap confidence intervals over test clips."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def bootstrap_intervals(
    clip_scores: Mapping[str, NDArray[np.float64]],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return the percentile interval of each score in per cent, clips drawn with replacement.

    `clip_scores` maps a name to [N] scores from 0 to 1 (`models.metrics.avvp_clip_scores`); every
    name is resampled with the same clips. The same seed gives the same intervals.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    table = np.stack(list(clip_scores.values()))  # [names, N]
    random = np.random.default_rng(seed)
    n_clips = table.shape[1]
    means = np.empty((resamples, len(table)))
    for row in range(resamples):
        weight = np.bincount(random.integers(0, n_clips, n_clips), minlength=n_clips)
        means[row] = table @ weight / n_clips
    tail = (1.0 - level) / 2
    low, high = 100.0 * np.quantile(means, (tail, 1.0 - tail), axis=0)
    return {name: (float(low[index]), float(high[index])) for index, name in enumerate(clip_scores)}


def gain_intervals(
    fused: NDArray[np.floating],
    single: Sequence[NDArray[np.floating]],
    labels: NDArray[np.bool_],
    *,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the interval of each class's gain in average precision, [2, C].

    The gain is that of the scores `fused` [N, C] over the better one of `single`, each [N, C], on
    clips drawn with replacement, the same ones for every class. NaN where no clip has the class, or
    in all draws none.
    """
    random = np.random.default_rng(seed)
    clips, classes = labels.shape
    drawn = random.multinomial(clips, np.full(clips, 1 / clips), size=resamples)  # [R, N]
    tail = (1.0 - level) / 2
    ends = np.full((2, classes), np.nan)
    for column in range(classes):
        own = labels[:, column]
        best = np.max([weighted_precision(one[:, column], own, drawn) for one in single], axis=0)
        gain = weighted_precision(fused[:, column], own, drawn) - best
        gain = gain[~np.isnan(gain)]
        if len(gain):
            ends[:, column] = np.quantile(gain, (tail, 1.0 - tail))
    return ends


def weighted_precision(
    scores: NDArray[np.floating], labels: NDArray[np.bool_], weights: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return the average precision [R] of scores [N] for each row of clip weights [R, N].

    A clip counts as often as its weight says; clips of equal score enter together. NaN where no
    clip with the label counts.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, counts = scores[order], weights[:, order].astype(np.float64)
    last = np.append(ranked[1:] != ranked[:-1], True)  # of the clips of one score
    hits = np.cumsum(counts * labels[order], axis=1)[:, last]
    taken = np.cumsum(counts, axis=1)[:, last]
    precision = hits / np.maximum(taken, 1.0)
    gained = np.diff(hits, axis=1, prepend=0.0)
    total = hits[:, -1]
    summed = (precision * gained).sum(axis=1)
    return np.where(total > 0, summed / np.maximum(total, 1.0), np.nan)
