"""Calibration of scores: what is fitted, what it keeps, when there is none."""

import numpy as np
import pytest

from models.contract.report import Calibration, Thresholds
from models.tasks.calibration import (
    calibrated,
    expected_calibration_error,
    fit_calibration,
    to_logits,
)


def made_up(slope: float, offset: float, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, and labels that hold as often as the line over their logits says."""
    random = np.random.default_rng(0)
    scores = random.random((count // 4, 4)) * 0.98 + 0.01
    chance = 1 / (1 + np.exp(-(slope * to_logits(scores) + offset)))
    return scores, random.random(scores.shape) < chance


def test_the_line_behind_the_labels_is_found_and_the_error_goes() -> None:
    scores, labels = made_up(0.5, -1.0)
    fitted = fit_calibration(scores, labels, "val")
    assert fitted is not None
    assert (fitted.slope, fitted.offset) == pytest.approx((0.5, -1.0), abs=0.05)
    before = expected_calibration_error(scores, labels)
    after = expected_calibration_error(calibrated(scores, fitted), labels)
    assert before > 0.15
    assert after < 0.01


def test_order_stays_and_scores_that_are_right_stay_too() -> None:
    scores, labels = made_up(1.0, 0.0)
    fitted = fit_calibration(scores, labels, "val")
    assert fitted is not None
    ranked = calibrated(np.sort(scores.ravel()), fitted)
    assert (np.diff(ranked) >= 0).all()
    np.testing.assert_allclose(calibrated(scores, fitted), scores, atol=0.02)
    assert ((calibrated(np.array([0.0, 1.0]), fitted) >= 0) & (ranked[-1] <= 1)).all()


@pytest.mark.parametrize("labels", [np.zeros((8, 2), bool), np.ones((8, 2), bool)])
def test_nothing_is_fitted_where_there_is_nothing_to_tell_apart(labels: np.ndarray) -> None:
    scores = np.linspace(0, 1, 16).reshape(8, 2)
    assert fit_calibration(scores, labels, "val") is None


def test_nothing_is_fitted_where_high_scores_are_true_less_often() -> None:
    scores = np.linspace(0.01, 0.99, 100)[:, None]
    assert fit_calibration(scores, scores < 0.5, "val") is None


def test_scores_that_separate_the_labels_give_finite_numbers() -> None:
    scores = np.linspace(0.01, 0.99, 100)[:, None]
    fitted = fit_calibration(scores, scores > 0.5, "val")
    assert fitted is not None
    assert np.isfinite([fitted.slope, fitted.offset]).all()


def test_error_is_that_of_the_bins() -> None:
    scores = np.array([[0.2, 0.2], [0.8, 0.8]])
    labels = np.array([[False, True], [True, True]])
    assert expected_calibration_error(scores, labels) == pytest.approx((0.6 / 2 + 0.4 / 2) / 2)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0.0
    assert expected_calibration_error(np.array([0.25]), np.array([True])) == 0.75
    assert expected_calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0


def test_calibration_travels_through_json_and_damage_is_refused() -> None:
    thresholds = Thresholds(
        tuned_on="val", values=(0.5,), calibration=Calibration(fitted_on="val", slope=2, offset=1)
    )
    assert Thresholds.from_json(thresholds.to_json()) == thresholds
    older = {"tuned_on": "val", "values": [0.5]}
    assert Thresholds.from_json(older).calibration is None
    for wrong in ({"slope": -1.0}, {"offset": float("nan")}):
        fitted = thresholds.to_json()["calibration"] | wrong
        with pytest.raises(ValueError, match="a calibration has slope"):
            Thresholds.from_json(older | {"calibration": fitted})


def test_targets_of_few_pairs_stay_off_zero_and_one() -> None:
    """At the minimum the mean of what is said is that of Platt's targets, along the logits too."""
    scores = np.array([[0.2, 0.4, 0.5], [0.6, 0.7, 0.9]])
    labels = np.array([[False, False, True], [False, True, True]])
    fitted = fit_calibration(scores, labels, "val")
    assert fitted is not None
    left = calibrated(scores, fitted) - np.where(labels, 4 / 5, 1 / 5)
    assert abs(left.sum()) < 1e-3
    assert abs((left * to_logits(scores)).sum()) < 1e-3
    assert fitted.fitted_on == "val"


def test_bins_are_fifteen_of_equal_width() -> None:
    scores, labels = np.array([0.065, 0.068]), np.array([True, False])
    assert expected_calibration_error(scores, labels) == pytest.approx((0.935 + 0.068) / 2)
    within = np.array([0.068, 0.13])
    assert expected_calibration_error(within, labels) == pytest.approx((1 - 0.198) / 2)


def test_logits_are_finite_and_scores_far_out_do_not_overflow() -> None:
    assert to_logits(np.array([0.5, 0.0, 1.0])) == pytest.approx([0.0, -13.8155, 13.8155], abs=1e-3)
    steep = Calibration(fitted_on="val", slope=1e9, offset=0.0)
    with np.errstate(all="raise"):
        low, middle, high = calibrated(np.array([0.1, 0.5, 0.9]), steep)
    assert (low < 1e-200, middle, high) == (True, 0.5, 1.0)


@pytest.mark.parametrize("label", [False, True])
def test_labels_that_are_all_alike_fit_nothing_whatever_the_scores(label: bool) -> None:
    for seed in range(8):
        scores = np.random.default_rng(seed).random((30, 2))
        assert fit_calibration(scores, np.full(scores.shape, label), "val") is None


def test_probabilities_end_where_a_double_can_still_be_squared() -> None:
    steep = Calibration(fitted_on="val", slope=1e6, offset=0.0)
    low, high = calibrated(np.array([0.0, 1.0]), steep)
    assert low == pytest.approx(np.exp(-500.0), rel=1e-9)
    assert high == 1.0
