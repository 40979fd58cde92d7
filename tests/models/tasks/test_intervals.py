"""Intervals of the gain of fusion: weighted average precision, and what the draws leave open."""

import numpy as np
import pytest

from models.metrics import average_precision
from models.tasks.intervals import gain_intervals, weighted_precision


def test_weighted_precision_is_that_of_the_clips_repeated() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.integers(0, 6, 40) / 5, random.random(40) < 0.4  # with equal scores
    weights = random.integers(0, 3, (5, 40))
    for row, found in zip(weights, weighted_precision(scores, labels, weights), strict=True):
        repeated = np.repeat(scores, row)[:, None], np.repeat(labels, row)[:, None]
        assert found == pytest.approx(average_precision(*repeated)[0])
    assert np.isnan(weighted_precision(scores, np.zeros(40, bool), weights)).all()


def test_interval_holds_the_gain_and_tells_a_real_one_from_noise() -> None:
    random = np.random.default_rng(1)
    labels = random.random((300, 3)) < 0.3
    labels[:, 2] = False
    noise = [random.standard_normal((300, 3)) for _ in range(3)]
    audio, visual = (labels * 1.0 + one for one in noise[:2])
    fused = (audio + visual) / 2
    fused[:, 1] = audio[:, 1]
    low, high = gain_intervals(fused, [audio, visual], labels)
    best = np.fmax(average_precision(audio, labels), average_precision(visual, labels))
    gain = average_precision(fused, labels) - best
    assert low[0] < gain[0] < high[0]
    assert low[0] > 0
    assert low[1] <= 0
    assert np.isnan([low[2], high[2]]).all()


def test_level_draws_and_seed_of_gains_are_those_asked_for() -> None:
    random = np.random.default_rng(2)
    labels = random.random((60, 2)) < 0.4
    fused, audio = labels + random.standard_normal((2, 60, 2))
    found = gain_intervals(fused, [audio], labels)
    same = gain_intervals(fused, [audio], labels, level=0.95, resamples=200, seed=0)
    np.testing.assert_array_equal(found, same)
    for changes in ({"seed": 1}, {"resamples": 201}, {"level": 0.9}):
        other = gain_intervals(fused, [audio], labels, **changes)
        assert not np.array_equal(found, other)
    drawn = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60), size=200)
    gain = weighted_precision(fused[:, 0], labels[:, 0], drawn) - weighted_precision(
        audio[:, 0], labels[:, 0], drawn
    )
    np.testing.assert_allclose(found[:, 0], np.quantile(gain, (0.025, 0.975)))


def test_clips_that_count_nothing_have_no_precision() -> None:
    scores, labels = np.array([0.9, 0.5, 0.1]), np.array([False, True, True])
    weights = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 1]])
    found = weighted_precision(scores, labels, weights)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], [1.0, 0.5, (1 / 3 + 2 / 4) / 2])
