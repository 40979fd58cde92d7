"""Scores of audio-visual video parsing and of audio tagging.

Parsing says for every second of a clip which classes are heard and which are seen. Tagging gives
one score per class for the whole clip.

Conventions
-----------
- N clips, T seconds, C classes. Masks are bool [N, T, C], True where the class is present.
- The audio-visual (AV) mask is the product of the audio mask and the visual mask, for the
  prediction and for the truth.
- An *event* is a run of consecutive positive seconds of one class in one clip.
- F is 2 TP / (2 TP + FP + FN). A clip's score is the mean F over the classes that are predicted
  or true in it; a clip without any such class scores 1. A data set's score is the mean over its
  clips (not over pooled counts), times 100.
- Segment level counts seconds. Event level counts events: a predicted event is a true positive
  when it meets some true event with intersection >= half of the union (several predictions may
  claim the same truth), a true event that no prediction meets is a false negative.

Metrics
-------
- `avvp_scores`: the ten numbers of the LLP benchmark, `segment_*` and `event_*` of audio, visual,
  audio_visual, type_av (mean of the three) and event_av (audio and visual counts of a class added
  before F).
- `avvp_clip_scores`, `avvp_class_scores`: the same, a value for each clip; a value for each class.
- `modality_confusion`: which modality a class is in against which it is found in.
- `tagging_scores`: mean average precision, mean area under the ROC curve, and its d'.
- `average_precision`, `roc_auc`: the values class by class.
- `micro_scores`: precision, recall and F over all (clip, class) pairs together.
- `detection_map`: mean average precision of events as spans of time, by their overlap (tIoU).

References
----------
- Tian, Li, Xu, "Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video Parsing",
  ECCV 2020: the ten parsing numbers and their official evaluation.
- Mesaros, Heittola, Virtanen, "Metrics for Polyphonic Sound Event Detection", Applied Sciences
  6(6), 2016: segment-based and event-based scores.
- Fayek, Kumar, "Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data", IJCAI 2020:
  AP and AUC averaged over classes without weights.
- Geng et al., "Dense-Localizing Audio-Visual Events in Untrimmed Videos", CVPR 2023: mean average
  precision at overlaps from 0.1 to 0.9 (ActivityNet's evaluation).
"""

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

AVVP_NAMES = tuple(
    f"{level}_{kind}"
    for level in ("segment", "event")
    for kind in ("audio", "visual", "audio_visual", "type_av", "event_av")
)
"""The ten names that `avvp_scores` returns, in order."""

PRESENCE = ("absent", "audio", "visual", "both")
"""Where a class may be in a second; the rows and columns of `modality_confusion` in order."""

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]


class Counts(NamedTuple):
    """True positives, false positives and false negatives, each an integer array."""

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]

    def plus(self, other: "Counts") -> "Counts":
        """Add the counts of two sources, element by element."""
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def f_score(self) -> Values:
        """Return F for each element; NaN where nothing is predicted and nothing is true."""
        below = 2 * self.tp + self.fp + self.fn
        return np.where(below > 0, 2 * self.tp / np.maximum(below, 1), np.nan)


def avvp_scores(
    pred_audio: Any, pred_visual: Any, true_audio: Any, true_visual: Any
) -> dict[str, float]:
    """Return the ten parsing scores of a data set in per cent, as the official LLP evaluation does.

    All four are bool [N, T, C]. ValueError names the shapes when they are not [N, T, C], differ,
    or hold no clip, and when the values are not yes or no.

    >>> heard = np.array([[[True], [True], [False]]])
    >>> avvp_scores(heard, ~heard, heard, heard)["segment_audio"]
    100.0
    """
    per_clip = avvp_clip_scores(pred_audio, pred_visual, true_audio, true_visual)
    return {name: 100.0 * float(per_clip[name].mean()) for name in AVVP_NAMES}


def avvp_clip_scores(
    pred_audio: Any, pred_visual: Any, true_audio: Any, true_visual: Any
) -> dict[str, Values]:
    """Return the ten parsing scores of each clip: name to [N], from 0 to 1.

    The mean over clips times 100 is `avvp_scores`. Arguments and errors as there.
    """
    scores: dict[str, Values] = {}
    for level, kind, counts in _all_counts(pred_audio, pred_visual, true_audio, true_visual):
        scores[f"{level}_{kind}"] = _clip_score(counts)
        if kind == "audio_visual":
            three = [scores[f"{level}_{part}"] for part in ("audio", "visual", "audio_visual")]
            scores[f"{level}_type_av"] = (three[0] + three[1] + three[2]) / 3
    return scores


def avvp_class_scores(
    pred_audio: Any, pred_visual: Any, true_audio: Any, true_visual: Any
) -> dict[str, Values]:
    """Return F of each class in per cent, counts pooled over all clips: name to [C].

    The eight names are those of `avvp_scores` without the two type averages; NaN marks a class
    that is neither predicted nor true. Arguments and errors as in `avvp_scores`.
    """
    return {
        f"{level}_{kind}": 100.0 * Counts(*(part.sum(axis=0) for part in counts)).f_score()
        for level, kind, counts in _all_counts(pred_audio, pred_visual, true_audio, true_visual)
    }


def modality_confusion(
    pred_audio: Any, pred_visual: Any, true_audio: Any, true_visual: Any
) -> NDArray[np.int64]:
    """Count where classes are against where they are found: [4, 4], truth by prediction.

    Each pair of a second and a class is absent, heard only, seen only or both (`PRESENCE`), so the
    counts add up to N T C. Arguments and errors as in `avvp_scores`.
    """
    masks = _checked_masks(pred_audio, pred_visual, true_audio, true_visual)
    predicted, true = (
        audio.astype(np.int64) + 2 * visual for audio, visual in (masks[:2], masks[2:])
    )
    counts = np.bincount((4 * true + predicted).ravel(), minlength=16)
    return counts.reshape(4, 4).astype(np.int64)


def _all_counts(*masks: Any) -> Iterator[tuple[str, str, Counts]]:
    """Yield level, kind and counts [N, C]; kinds are audio, visual, audio_visual, event_av."""
    pred_audio, pred_visual, true_audio, true_visual = _checked_masks(*masks)
    for level, count in (("segment", _segment_counts), ("event", _event_counts)):
        audio = count(pred_audio, true_audio)
        visual = count(pred_visual, true_visual)
        yield level, "audio", audio
        yield level, "visual", visual
        yield level, "audio_visual", count(pred_audio & pred_visual, true_audio & true_visual)
        yield level, "event_av", audio.plus(visual)


def _checked_masks(*masks: Any) -> list[Mask]:
    names = ("pred_audio", "pred_visual", "true_audio", "true_visual")
    arrays = [_yes_or_no(name, mask) for name, mask in zip(names, masks, strict=True)]
    shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(names, arrays, strict=True))
    if any(array.ndim != 3 for array in arrays) or len({array.shape for array in arrays}) != 1:
        raise ValueError(f"need four masks of one shape [clips, seconds, classes], got {shapes}")
    if len(arrays[0]) == 0:
        raise ValueError(f"no clips to score: {shapes}")
    return arrays


def _yes_or_no(name: str, values: Any) -> Mask:
    array = np.asarray(values)
    if array.dtype != np.bool_:
        if not np.isin(array, (0, 1)).all():
            raise ValueError(f"{name} {array.shape} must be bool or 0 and 1, got {array.dtype}")
        array = array.astype(np.bool_)
    return array


def _segment_counts(predicted: Mask, true: Mask) -> Counts:
    return Counts(
        (predicted & true).sum(axis=1), (predicted & ~true).sum(axis=1), (~predicted & true).sum(1)
    )


class Events(NamedTuple):
    """Events of all clips and classes, in order."""

    row: NDArray[np.int64]
    """n C + c for clip n and class c."""
    start: NDArray[np.int64]
    """First second."""
    stop: NDArray[np.int64]
    """Second behind the last one."""


def _event_counts(predicted: Mask, true: Mask) -> Counts:
    predictions, truths = _events(predicted), _events(true)
    left, right = _pairs(predictions.row, truths.row)
    stop = np.minimum(predictions.stop[left], truths.stop[right])
    shared = stop - np.maximum(predictions.start[left], truths.start[right])
    lengths = (
        predictions.stop[left] - predictions.start[left] + truths.stop[right] - truths.start[right]
    )
    meets = 2 * shared >= lengths - shared  # at least half of the union
    hit, met = np.zeros(len(predictions.row), np.bool_), np.zeros(len(truths.row), np.bool_)
    hit[left[meets]] = met[right[meets]] = True
    clips, _, classes = predicted.shape
    return Counts(
        *(
            np.bincount(rows, minlength=clips * classes).reshape(clips, classes)
            for rows in (predictions.row[hit], predictions.row[~hit], truths.row[~met])
        )
    )


def _events(mask: Mask) -> Events:
    """Return the runs of positive seconds in a mask [N, T, C]."""
    clips, seconds, classes = mask.shape
    padded = np.zeros((clips, classes, seconds + 2), np.bool_)
    padded[:, :, 1:-1] = mask.transpose(0, 2, 1)
    edges = np.flatnonzero(padded[:, :, 1:] != padded[:, :, :-1])  # begin and end by turns
    row, second = np.divmod(edges, seconds + 1)
    return Events(row[::2], second[::2], second[1::2])


def _pairs(
    rows: NDArray[np.int64], others: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of every pair with the same value, from two ascending arrays."""
    first = np.searchsorted(others, rows, side="left")
    count = np.searchsorted(others, rows, side="right") - first
    left = np.repeat(np.arange(len(rows)), count)
    within = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    return left, np.repeat(first, count) + within


def _clip_score(counts: Counts) -> Values:
    """Return the mean F over the classes that occur, 1 where none does: [N, C] to [N]."""
    f_score = counts.f_score()
    occurs = ~np.isnan(f_score)
    total = np.where(occurs, f_score, 0.0).sum(axis=1)
    n_classes = occurs.sum(axis=1)
    return np.where(n_classes > 0, total / np.maximum(n_classes, 1), 1.0)


def tagging_scores(scores: Any, labels: Any) -> dict[str, float]:
    """Return `map` and `mauc` as fractions and `dprime` of `mauc`.

    `scores` is real [N, C], `labels` bool [N, C]. Classes without a positive or without a negative
    are left out of the means; without any other class all three are NaN. d' is
    sqrt(2) * Phi^-1(mauc), infinite at 0 and 1. ValueError on bad shapes and NaN scores.
    """
    values, truth = _checked_tags(scores, labels)
    precision, area = average_precision(values, truth), roc_auc(values, truth)
    usable = ~np.isnan(area)
    if not usable.any():
        return {"map": float("nan"), "mauc": float("nan"), "dprime": float("nan")}
    mauc = float(area[usable].mean())
    return {"map": float(precision[usable].mean()), "mauc": mauc, "dprime": d_prime(mauc)}


def d_prime(auc: float) -> float:
    """Return d', sqrt(2) * Phi^-1(AUC); infinite at 0 and 1.

    >>> d_prime(0.5)
    0.0
    """
    if not 0.0 < auc < 1.0:
        return float("inf") if auc >= 1.0 else -float("inf")
    return 2**0.5 * NormalDist().inv_cdf(auc)


def average_precision(scores: Any, labels: Any) -> Values:
    """Return average precision per class [C]: precision at each distinct score times recall gained.

    Clips of equal score enter together. NaN for a class without a positive.
    Arguments and errors as in `tagging_scores`.
    """
    values, truth = _checked_tags(scores, labels)
    result = np.full(values.shape[1], np.nan)
    for column in np.flatnonzero(truth.any(axis=0)):
        order = np.argsort(values[:, column], kind="stable")[::-1]
        ranked, hits = values[order, column], np.cumsum(truth[order, column])
        ends = np.flatnonzero(ranked[1:] != ranked[:-1])
        last = np.append(ends, len(ranked) - 1)  # end of each tie
        gained = np.diff(hits[last], prepend=0)
        result[column] = float((gained * hits[last] / (last + 1)).sum() / hits[-1])
    return result


def roc_auc(scores: Any, labels: Any) -> Values:
    """Return ROC AUC per class [C]; a tie of a positive and a negative counts a half.

    NaN for a class without a positive or without a negative.
    Arguments and errors as in `tagging_scores`.
    """
    values, truth = _checked_tags(scores, labels)
    result = np.full(values.shape[1], np.nan)
    for column in np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0)):
        _, index, size = np.unique(values[:, column], return_inverse=True, return_counts=True)
        rank = np.cumsum(size) - (size - 1) / 2  # mean rank of each distinct score, from 1
        positives = int(truth[:, column].sum())
        above = rank[index][truth[:, column]].sum() - positives * (positives + 1) / 2
        result[column] = above / (positives * (len(truth) - positives))
    return result


def _checked_tags(scores: Any, labels: Any) -> tuple[NDArray[Any], Mask]:
    values, truth = np.asarray(scores), _yes_or_no("labels", labels)
    if values.ndim != 2 or values.shape != truth.shape:
        raise ValueError(
            f"need scores and labels of one shape [clips, classes], got scores {values.shape}, "
            f"labels {truth.shape}"
        )
    if len(values) == 0:
        raise ValueError(f"no clips to score: scores {values.shape}, labels {truth.shape}")
    if np.isnan(values).any():
        raise ValueError(f"scores {values.shape} hold {int(np.isnan(values).sum())} NaN values")
    return values, truth


def micro_scores(predicted: Any, labels: Any) -> dict[str, float]:
    """Return `micro_f1`, `micro_precision`, `micro_recall` as fractions, pairs pooled over classes.

    Both are bool [N, C]. What has nothing to divide by is 0: precision when nothing is predicted,
    recall when nothing is true. ValueError on bad shapes.
    """
    positive, truth = _checked_tags(_yes_or_no("predicted", predicted), labels)
    tp, fp, fn = (
        int(part.sum()) for part in (positive & truth, positive & ~truth, ~positive & truth)
    )
    return {
        "micro_f1": 2 * tp / max(1, 2 * tp + fp + fn),
        "micro_precision": tp / max(1, tp + fp),
        "micro_recall": tp / max(1, tp + fn),
    }


TIOUS = tuple(round(0.1 * step, 1) for step in range(1, 10))
"""Overlaps, intersection over union in time, from which a detection may be right."""


class Span(NamedTuple):
    """An event of a clip as a span of seconds; of a true one the score is not read."""

    clip: str
    label: str
    onset_s: float
    offset_s: float
    score: float = 1.0


def detection_map(found: Sequence[Span], true: Sequence[Span]) -> dict[str, float]:
    """Return `map_0.1` to `map_0.9`, mean average precision by overlap, and `map`, their mean.

    Means are over the classes that `true` has; detections of others do not count. Of each class
    the detections claim, best score first, the free true event of their clip that they overlap
    most, if by so much at least; precision is the largest at no less recall. Fractions. ValueError
    without true events or for a score that is no number.
    """
    if not true:
        raise ValueError("no true events to score")
    if any(np.isnan(one.score) for one in found):
        raise ValueError("a detection's score is no number")
    labels = sorted({one.label for one in true})
    of_class: dict[str, tuple[list[Span], list[Span]]] = {label: ([], []) for label in labels}
    for side, spans in enumerate((found, true)):
        for one in spans:
            if one.label in of_class:
                of_class[one.label][side].append(one)
    mean = np.mean([_detection_precision(*of_class[label]) for label in labels], axis=0)
    scores = {f"map_{least}": float(value) for least, value in zip(TIOUS, mean, strict=True)}
    return scores | {"map": float(mean.mean())}


def _detection_precision(found: Sequence[Span], true: Sequence[Span]) -> Values:
    """Return the average precision of a class at each of `TIOUS`."""
    ranked = sorted(found, key=lambda one: -one.score)
    of_clip: dict[str, list[int]] = {}
    for place, one in enumerate(true):
        of_clip.setdefault(one.clip, []).append(place)
    taken = np.zeros((len(TIOUS), len(true)), np.bool_)
    hit = np.zeros((len(TIOUS), len(found)), np.bool_)
    for place, one in enumerate(ranked):
        own = np.array(of_clip.get(one.clip, []), int)
        overlap = np.array([_overlap(one, true[index]) for index in own])
        for level, least in enumerate(TIOUS):
            free = np.flatnonzero((overlap >= least) & ~taken[level, own])
            if len(free):
                taken[level, own[free[np.argmax(overlap[free])]]] = hit[level, place] = True
    precision = np.cumsum(hit, axis=1) / np.arange(1, len(found) + 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((best * hit).sum(axis=1) / len(true))


def _overlap(one: Span, other: Span) -> float:
    """Return the intersection over union of two spans; 0 where neither covers time."""
    both = min(one.offset_s, other.offset_s) - max(one.onset_s, other.onset_s)
    whole = one.offset_s - one.onset_s + other.offset_s - other.onset_s - max(0.0, both)
    return max(0.0, both) / whole if whole > 0 else 0.0
