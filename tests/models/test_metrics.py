"""Scores against the official evaluation, scikit-learn and sed_eval, and their invariants."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from models.metrics import (
    AVVP_NAMES,
    PRESENCE,
    average_precision,
    avvp_class_scores,
    avvp_clip_scores,
    avvp_scores,
    micro_scores,
    modality_confusion,
    roc_auc,
    tagging_scores,
)
from models.tasks.intervals import bootstrap_intervals
from tests.places import GOLDENS

GOLDEN = GOLDENS
PER_VIDEO = {
    "seg_a": "segment_audio",
    "seg_v": "segment_visual",
    "seg_av": "segment_audio_visual",
    "seg_event": "segment_event_av",
    "ev_a": "event_audio",
    "ev_v": "event_visual",
    "ev_av": "event_audio_visual",
    "ev_event": "event_event_av",
}

Masks = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]


def official(case: str) -> tuple[Masks, Any]:
    golden = np.load(GOLDEN / "llp_metrics.npz")
    masks = (golden[f"{case}/audio"], golden[f"{case}/visual"])
    return (*masks, golden["gt_audio"], golden["gt_visual"]), golden


@pytest.mark.parametrize("case", ["gt_corrupted_20pct", "all_zero"])
def test_ten_scores_are_those_of_the_official_evaluation(case: str) -> None:
    masks, golden = official(case)
    scores = avvp_scores(*masks)
    assert (
        tuple(golden["metric_names"]) == AVVP_NAMES == tuple(sorted(scores, key=AVVP_NAMES.index))
    )
    wanted = dict(zip(AVVP_NAMES, golden[f"{case}/metrics"], strict=True))
    for name in AVVP_NAMES:
        assert scores[name] == pytest.approx(wanted[name], abs=1e-10), name


@pytest.mark.parametrize("case", ["gt_corrupted_20pct", "all_zero"])
def test_each_clip_scores_as_in_the_official_evaluation(case: str) -> None:
    masks, golden = official(case)
    ours = avvp_clip_scores(*masks)
    for column, name in enumerate(golden["per_video_names"]):
        wanted = golden[f"{case}/per_video"][:, column]
        np.testing.assert_allclose(ours[PER_VIDEO[name]], wanted, rtol=0, atol=1e-15, err_msg=name)


def one_class(*seconds: int, length: int = 10) -> NDArray[np.bool_]:
    mask = np.zeros((1, length, 1), bool)
    mask[0, list(seconds), 0] = True
    return mask


def event_audio(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    empty = np.zeros_like(found)
    return avvp_scores(found, empty, wanted, empty)["event_audio"]


def test_overlap_of_exactly_half_is_a_hit_and_below_is_not() -> None:
    assert event_audio(one_class(0), one_class(0, 1)) == 100.0  # 1 of 2
    assert event_audio(one_class(0), one_class(0, 1, 2)) == 0.0  # 1 of 3


def test_two_predictions_may_claim_one_truth() -> None:
    found = one_class(0, 1, 3, 4, 5)  # two events; only the second covers half of the truth
    assert event_audio(found, one_class(3, 4, 5, 6)) == pytest.approx(100 * 2 / 3)
    many = one_class(0, 2)  # [0] and [2] against [0..2]: each a third, none hits
    assert event_audio(many, one_class(0, 1, 2)) == 0.0


def test_clip_without_any_class_scores_full_and_long_clips_work() -> None:
    empty = np.zeros((2, 3000, 2), bool)
    assert set(avvp_scores(empty, empty, empty, empty).values()) == {100.0}
    none = np.zeros((2, 0, 3), bool)
    assert set(avvp_scores(none, none, none, none).values()) == {100.0}


def test_order_of_clips_and_classes_does_not_matter() -> None:
    masks, _ = official("gt_corrupted_20pct")
    random = np.random.default_rng(0)
    clips, classes = random.permutation(1200), random.permutation(25)
    shuffled = [mask[clips][:, :, classes] for mask in masks]
    assert avvp_scores(*shuffled) == pytest.approx(avvp_scores(*masks), abs=1e-9)


def test_truth_as_prediction_is_perfect() -> None:
    (_, _, audio, visual), _ = official("all_zero")
    assert set(avvp_scores(audio, visual, audio, visual).values()) == {100.0}
    per_class = avvp_class_scores(audio, visual, audio, visual)
    assert len(per_class) == 8
    for name, values in per_class.items():
        assert set(values[~np.isnan(values)]) == {100.0}, name


def test_class_scores_pool_counts_over_clips() -> None:
    found = np.concatenate([one_class(0, 1), one_class(5)])
    wanted = np.concatenate([one_class(0), one_class(5, 6)])
    per_class = avvp_class_scores(found, ~found, wanted, wanted)
    assert per_class["segment_audio"].tolist() == [pytest.approx(100 * 2 * 2 / (2 * 2 + 1 + 1))]


def test_confusion_says_in_which_modality_a_class_was_looked_for() -> None:
    heard, seen = one_class(0, 1, 2), one_class(2, 3)
    found = modality_confusion(one_class(0, 2), one_class(1, 3, 4), heard, seen)
    # absent: second 4 found in the picture; audio: 0 right, 1 taken for the picture; visual: 3
    # right; both: 2 found in the sound alone
    length = heard.shape[1]
    assert found.tolist() == [[length - 5, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0]]
    assert PRESENCE == ("absent", "audio", "visual", "both")


def test_bad_shapes_are_named() -> None:
    good = np.zeros((2, 10, 3), bool)
    with pytest.raises(ValueError, match=re.escape("true_visual (2, 9, 3)")):
        avvp_scores(good, good, good, good[:, :9])
    with pytest.raises(ValueError, match=re.escape("pred_audio (10, 3)")):
        avvp_scores(good[0], good[0], good[0], good[0])
    with pytest.raises(ValueError, match="no clips"):
        avvp_scores(good[:0], good[:0], good[:0], good[:0])
    with pytest.raises(ValueError, match="must be bool"):
        avvp_scores(good + 0.3, good, good, good)
    with pytest.raises(ValueError, match=re.escape("scores (4, 2), labels (4, 3)")):
        tagging_scores(np.zeros((4, 2)), np.zeros((4, 3), bool))
    with pytest.raises(ValueError, match="1 NaN"):
        tagging_scores(np.array([[np.nan]]), np.array([[True]]))


@pytest.mark.parametrize("case", ["plain", "ties"])
def test_tagging_scores_are_those_of_scikit_learn(case: str) -> None:
    golden = np.load(GOLDEN / "audioset_metrics.npz")
    scores, labels = golden[f"{case}/scores"], golden[f"{case}/labels"]
    np.testing.assert_allclose(average_precision(scores, labels), golden[f"{case}/ap"], atol=1e-12)
    np.testing.assert_allclose(roc_auc(scores, labels), golden[f"{case}/auc"], atol=1e-12)
    ours = tagging_scores(scores, labels)
    wanted = golden[f"{case}/summary"][:3]
    np.testing.assert_allclose([ours["map"], ours["mauc"], ours["dprime"]], wanted, atol=1e-12)
    micro = micro_scores(scores >= 0.5, labels)
    pooled = [micro["micro_precision"], micro["micro_recall"], micro["micro_f1"]]
    np.testing.assert_allclose(pooled, golden[f"{case}/summary"][3:], atol=1e-12)


def test_heavy_ties_and_missing_classes() -> None:
    random = np.random.default_rng(3)
    scores, labels = random.integers(0, 3, (200, 6)) / 2, random.random((200, 6)) < 0.2
    labels[:, 0], labels[:, 1] = False, True
    for column in range(2, 6):
        pair = labels[:, column], scores[:, column]
        assert average_precision(scores, labels)[column] == pytest.approx(
            average_precision_score(*pair), abs=1e-12
        )
        assert roc_auc(scores, labels)[column] == pytest.approx(roc_auc_score(*pair), abs=1e-12)
    usable = tagging_scores(scores[:, 2:], labels[:, 2:])
    assert tagging_scores(scores, labels) == pytest.approx(usable)
    assert np.isnan(tagging_scores(scores[:, :2], labels[:, :2])["map"])


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int64, np.float16])
def test_scores_of_any_kind_rank_as_their_values_do(kind: type[np.generic]) -> None:
    random = np.random.default_rng(4)
    scores, labels = random.integers(0, 4, (100, 3)).astype(kind), random.random((100, 3)) < 0.3
    assert tagging_scores(scores, labels) == tagging_scores(scores.astype(np.float64), labels)


def test_scores_at_infinity_tie() -> None:
    labels = np.array([[True], [False], [True], [False]])
    scores = np.array([[-np.inf], [-np.inf], [1.0], [-np.inf]])
    assert average_precision(scores, labels) == average_precision_score(labels, scores > 0)


def test_perfect_order_has_infinite_dprime() -> None:
    labels = np.array([[True], [False], [False]])
    scores = tagging_scores(labels.astype(float), labels)
    assert scores == {"map": 1.0, "mauc": 1.0, "dprime": np.inf}


def test_micro_scores_are_those_of_sed_eval() -> None:
    golden = np.load(GOLDEN / "dcase_tagging.npz")
    ours = micro_scores(golden["predictions"], golden["labels"])
    wanted = dict(zip(golden["summary_names"], golden["summary"], strict=True))
    assert ours["micro_precision"] == pytest.approx(wanted["sed_eval_p"], abs=1e-12)
    assert ours["micro_recall"] == pytest.approx(wanted["sed_eval_r"], abs=1e-12)
    assert ours["micro_f1"] == pytest.approx(wanted["sed_eval_f"], abs=1e-12)
    assert micro_scores(golden["predictions"] & False, golden["labels"])["micro_precision"] == 0.0


def test_micro_scores_of_one_clip_are_whole() -> None:
    assert set(micro_scores([[1]], [[1]]).values()) == {1.0}
    assert set(micro_scores([[0]], [[1]]).values()) == {0.0}


def test_labels_are_bool_or_zero_and_one() -> None:
    scores, labels = np.array([[0.1], [0.9]]), np.array([[0], [1]])
    assert tagging_scores(scores, labels) == tagging_scores(scores, labels > 0)
    with pytest.raises(ValueError, match="must be bool or 0 and 1"):
        tagging_scores(scores, 2 * labels)


def test_no_clips_have_no_score() -> None:
    with pytest.raises(ValueError, match="no clips to score"):
        tagging_scores(np.zeros((0, 3)), np.zeros((0, 3), bool))


def test_class_of_one_kind_has_no_area() -> None:
    scores = np.array([[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]])
    with np.errstate(all="raise"):  # nothing is divided by zero on the way
        area = roc_auc(scores, np.array([[0, 0, 1], [1, 0, 1]]))
    assert np.isnan(area).tolist() == [False, True, True]


def test_bootstrap_interval_holds_the_score_and_narrows_with_clips() -> None:
    masks, _ = official("gt_corrupted_20pct")
    clips = avvp_clip_scores(*masks)
    wide = bootstrap_intervals({name: values[:100] for name, values in clips.items()})
    narrow = bootstrap_intervals(clips)
    for name, score in avvp_scores(*masks).items():
        low, high = narrow[name]
        assert low < score < high
        assert high - low < wide[name][1] - wide[name][0]
    spread = clips["segment_audio"].std() / np.sqrt(1200) * 100
    low, high = narrow["segment_audio"]
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.1)
    assert bootstrap_intervals(clips) == narrow
