"""Bootstrap confidence intervals over test clips."""

from collections.abc import Mapping

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
