"""Bootstrap intervals: where their ends are, and that they can be repeated."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.tasks.intervals import bootstrap_intervals

CLIPS = 400
SCORES: dict[str, NDArray[np.float64]] = {
    "one": np.random.default_rng(1).random(CLIPS),
    "other": (np.random.default_rng(2).random(CLIPS) < 0.25).astype(np.float64),
}


def test_interval_is_that_of_the_mean_of_clips_in_per_cent() -> None:
    found = bootstrap_intervals(SCORES)
    assert list(found) == list(SCORES)
    for name, scores in SCORES.items():
        error = 100 * scores.std() / CLIPS**0.5
        low, high = found[name]
        assert low == pytest.approx(100 * scores.mean() - 1.96 * error, abs=0.2 * error)
        assert high == pytest.approx(100 * scores.mean() + 1.96 * error, abs=0.2 * error)


def test_level_and_seed_are_those_asked_for() -> None:
    assert bootstrap_intervals(SCORES) == bootstrap_intervals(
        SCORES, level=0.95, resamples=1000, seed=0
    )
    assert bootstrap_intervals(SCORES) != bootstrap_intervals(SCORES, seed=1)
    assert bootstrap_intervals(SCORES) != bootstrap_intervals(SCORES, resamples=1001)
    low, high = bootstrap_intervals(SCORES, level=0.5)["one"]
    error = 100 * SCORES["one"].std() / CLIPS**0.5
    assert high - low == pytest.approx(2 * 0.6745 * error, rel=0.15)


def test_names_are_resampled_with_the_same_clips() -> None:
    found = bootstrap_intervals({"one": SCORES["one"], "same": SCORES["one"]})
    assert found["one"] == found["same"]


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 1.5])
def test_level_is_between_0_and_1(level: float) -> None:
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        bootstrap_intervals(SCORES, level=level)
