"""Thresholds for micro F1: the best there is, on made-up scores and on the golden submission."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.contract.config import TaggingConfig
from models.contract.report import Calibration, Thresholds
from models.data.clips import ClipData, open_clips
from models.metrics import micro_scores
from models.tasks import tagging, thresholds
from models.tasks.calibration import calibrated
from models.tasks.class_scores import class_scores
from models.tasks.tagging import Tags
from models.tasks.thresholds import best_threshold, class_thresholds, global_threshold
from tests.places import GOLDENS
from tests.stores.parsing import ParsingRows
from tests.stores.tagging import write_tagging_store

GOLDEN = np.load(GOLDENS / "dcase_tagging.npz")


def made_up(seed: int, ties: bool = False) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    labels = random.random((40, 5)) < 0.3
    scores = random.normal(labels * [0.2, 0.5, 1.0, 2.0, 3.0] + np.arange(5), 1.0)
    return (np.round(scores, 1) if ties else scores), labels


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_global_threshold_is_the_best_of_all(seed: int, ties: bool) -> None:
    scores, labels = made_up(seed, ties)
    value, reached = best_threshold(scores, labels)
    tried = [micro_scores(scores >= cut, labels)["micro_f1"] for cut in np.unique(scores)]
    assert reached == pytest.approx(max(tried))
    assert micro_scores(scores >= value, labels)["micro_f1"] == pytest.approx(reached)


@pytest.mark.parametrize("seed", range(4))
def test_thresholds_of_classes_are_never_worse_than_one_for_all(seed: int) -> None:
    scores, labels = made_up(seed)
    one, many = global_threshold(scores, labels), class_thresholds(scores, labels)
    f1 = [micro_scores(scores >= cut, labels)["micro_f1"] for cut in (one, many)]
    assert f1[1] > f1[0]  # the classes' scores lie apart
    assert len(set(one)) == 1


def test_perfect_scores_are_told_apart_with_room_on_both_sides() -> None:
    value, reached = best_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]) > 0)
    assert value == pytest.approx(0.5)
    assert reached == 1.0


def test_nothing_true_predicts_nothing() -> None:
    value, _ = best_threshold(np.array([0.3, 0.7]), np.zeros(2, bool))
    assert value > 0.7


def test_of_equal_f1_the_highest_threshold_is_taken() -> None:
    scores = np.array([0.9, 0.7, 0.5, 0.3])
    labels = np.array([True, False, False, True])  # the first alone and all four: both 2 / 3
    value, reached = best_threshold(scores, labels)
    assert value == pytest.approx(0.8)
    assert reached == pytest.approx(2 / 3)


def test_thresholds_are_tuned_on_val_and_on_train_only_without_it(tmp_path: Path) -> None:
    stores = [write_tagging_store(tmp_path / f"{val}", val=val) for val in (8, 0)]
    splits = [tagging.tuned_on(open_clips(store, ("r2plus1d",))) for store in stores]
    assert splits == ["val", "train"]


@pytest.fixture
def clips(tmp_path: Path) -> ClipData:
    return open_clips(ParsingRows().write(tmp_path), ("vggish",))


def golden_tags(clips: ClipData) -> tuple[Tags, ClipData]:
    """The golden submission as scores of 0 and 1 for clips with the golden labels."""
    from dataclasses import replace

    labels = torch.from_numpy(GOLDEN["labels"].astype(np.float32))
    held = replace(clips, labels=labels)
    return Tags(
        rows=torch.arange(len(labels)), scores=GOLDEN["predictions"].astype(np.float32)
    ), held


def test_official_scores_count_clips_without_labels_unless_they_are_skipped(
    clips: ClipData,
) -> None:
    tags, data = golden_tags(clips)
    half = np.full(17, 0.5)
    found = tagging.scores(tags, data, half, TaggingConfig())
    for name, place in (("micro_precision", 0), ("micro_recall", 1), ("micro_f1", 2)):
        assert found[name] == pytest.approx(GOLDEN["summary"][place], abs=1e-12)
    skipped = tagging.scores(tags, data, half, TaggingConfig(unlabelled="skip"))
    listed = GOLDEN["predictions"].any(axis=1)
    missed = (GOLDEN["labels"] & ~GOLDEN["predictions"])[listed].sum()
    true = (GOLDEN["labels"] & GOLDEN["predictions"]).sum()
    assert skipped["micro_recall"] == pytest.approx(true / (true + missed))
    assert skipped["micro_precision"] == found["micro_precision"]
    assert skipped["micro_recall"] > found["micro_recall"]  # type: ignore[operator]


def test_settings_choose_the_rule(clips: ClipData) -> None:
    tags, data = golden_tags(clips)
    fixed = tagging.tune(tags, data, TaggingConfig(threshold="fixed", fixed_threshold=0.3))
    assert fixed.tolist() == [0.3] * 17
    assert len(set(tagging.tune(tags, data, TaggingConfig()).tolist())) == 1


def test_class_scores_name_the_classes_that_cannot_be_scored(clips: ClipData) -> None:
    scores = np.zeros((66, 4), np.float32)
    tags = Tags(rows=clips.rows("test"), scores=scores[:14])
    found = class_scores(
        tags.scores, tagging.truth(tags, clips), np.full(4, 0.5), clips.vocabulary.names
    )
    assert set(found) == {"support", "f1", "ap", "auc", "dprime", "ece"}
    labels = clips.labels[tags.rows].bool()
    assert list(found["support"].values()) == labels.sum(dim=0).tolist()
    for column, name in enumerate(clips.vocabulary.names):
        assert (found["f1"][name] is None) == (not labels[:, column].any())


def test_global_threshold_is_repeated_for_each_class() -> None:
    scores, labels = made_up(0)
    assert global_threshold(scores, labels).tolist() == [best_threshold(scores, labels)[0]] * 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_score_is_its_own_threshold_or_lies_below_it(dtype: type) -> None:
    score: NDArray[np.floating] = np.array([0.5], dtype)
    assert best_threshold(score, np.array([True])) == (0.5, 1.0)
    threshold, f1 = best_threshold(score, np.array([False]))
    assert (threshold, f1) == (np.nextafter(0.5, 1), 0.0)


def test_probabilities_are_the_calibrated_scores_of_a_run() -> None:
    scores = np.array([[0.2, 0.7]], np.float32)
    calibration = Calibration(fitted_on="val", slope=2.0, offset=-1.0)
    with_it = Thresholds(tuned_on="val", values=(0.5, 0.5), calibration=calibration)
    found = tagging.probabilities_of(scores, with_it)
    assert found is not None
    np.testing.assert_array_equal(found, calibrated(scores, calibration))
    without = Thresholds(tuned_on="val", values=(0.5, 0.5))
    assert tagging.probabilities_of(scores, without) is None
    assert tagging.probabilities_of(scores, None) is None


def test_passes_over_the_classes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert thresholds.ROUNDS == 20
    calls: list[int] = []

    def never_settled(*_: object) -> tuple[float, float]:
        calls.append(1)
        return len(calls) / 1000, 2.0

    monkeypatch.setattr(thresholds, "best_threshold", never_settled)
    class_thresholds(*made_up(0))
    assert len(calls) == 1 + 20 * 5


def test_other_classes_are_counted_in() -> None:
    predicted, true = np.array([True, True, False]), np.array([True, False, True])
    assert thresholds._micro_f1(predicted, true, (0, 0, 0)) == 0.5
    assert thresholds._micro_f1(predicted, true, (3, 1, 2)) == pytest.approx(8 / 13)
    assert thresholds._micro_f1(~predicted & predicted, true, (0, 0, 0)) == 0.0


def test_no_other_threshold_of_one_class_is_better_even_between_neighbouring_numbers() -> None:
    for seed in range(12):
        random = np.random.default_rng(seed)
        labels = random.random((12, 3)) < 0.4
        scores = 1 + np.spacing(1.0) * (random.integers(0, 4, labels.shape) + labels)
        cuts = class_thresholds(scores, labels)
        reached = micro_scores(scores >= cuts, labels)["micro_f1"]
        for column in range(3):
            for cut in (*np.unique(scores), 2.0):
                other = np.where(np.arange(3) == column, cut, cuts)
                assert micro_scores(scores >= other, labels)["micro_f1"] <= reached + 1e-12
