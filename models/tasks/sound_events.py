"""Events of sound that a tagging net finds: from its scores over time to scores of detection.

A class is heard in a segment when the clip has the class and the segment's score reaches a share of
the class's threshold; the share is tuned on validation clips with dense truth. PSDS takes the
scores as they are and needs no threshold.

Letters: N clips, S segments, C classes, E events.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.data.source import ClipSource
from models.tasks.event_scores import EventList, Mask, Values, event_based, runs, segment_based
from models.tasks.psds import SCENARIOS, psds

SOUND_EVENT_NAMES = ("sed_segment_f1", "sed_segment_er", "sed_event_f1", *SCENARIOS)
"""Scores of detection, fractions: segment-based F and error rate over seconds, event-based F (both
pooled over classes), and PSDS of the two scenarios. Of these the error rate may exceed 1."""
SHARES = np.linspace(0.0, 1.5, 31)
"""Shares of a threshold that are tried; at 0 a class is heard all through the clip."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Scores over time, 0 to 1, that a net of this task gives besides those of the clip."""

    name: str
    """Their name in `Outputs.extra`: float [B, S, C], S segments."""
    hop_s: float
    """Seconds from one segment's start to the next's."""
    window_s: float
    """Seconds that a segment covers."""
    feature: str = ""
    """Feature without which the net gives none; empty when it always does."""

    def segments(self, seconds: float) -> int:
        """Return how many segments have their middle in a clip of this length; one at least."""
        return max(1, math.ceil((seconds - self.window_s / 2) / self.hop_s))

    def edges(self, count: int, seconds: float) -> Values:
        """Return when segments begin that share a clip without overlap, and its end: [S + 1].

        One ends and the next begins halfway between their middles; S is at most `count`.
        """
        count = min(count, self.segments(seconds))
        middles = np.arange(count) * self.hop_s + self.window_s / 2
        return np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [seconds]])


@dataclass(frozen=True, eq=False, kw_only=True)
class TimedTags:
    """Scores over time of N clips, with the truth."""

    clip: Scores
    """Scores of the clips, [N, C]."""
    segments: Scores
    """Scores of their segments, [N, S, C]."""
    edges: Values
    """Seconds in which segments begin and in which the last one ends, [S + 1]."""
    true: EventList

    @classmethod
    def of(
        cls, grid: Timeline, clip: Scores, segments: Scores, clips: ClipSource, rows: Tensor
    ) -> "TimedTags":
        """Return what is known of the clips `rows` [N]."""
        edges = grid.edges(segments.shape[1], clips.seconds)
        held = segments[:, : len(edges) - 1]
        return cls(clip=clip, segments=held, edges=edges, true=true_events(clips, rows))

    def detected(self, thresholds: Values, share: float) -> EventList:
        """Return the events at thresholds of clips [C] and a share of them for segments."""
        there: Mask = (self.clip >= thresholds)[:, None]
        return runs(there & (self.segments >= share * thresholds), self.edges)


def true_events(clips: ClipSource, rows: Tensor) -> EventList:
    """Return the events of the audio of clips `rows` [N], numbered in this order."""
    place = {clips.keys[row]: index for index, row in enumerate(rows.tolist())}
    own = [event for event in clips.sound_events if event.clip_key in place]
    return EventList(
        clip=np.array([place[event.clip_key] for event in own], np.int64),
        label=np.array([clips.vocabulary.index(event.label) for event in own], np.int64),
        onset=np.array([event.onset_s for event in own], np.float64),
        offset=np.array([event.offset_s for event in own], np.float64),
    )


def has_sound_events(clips: ClipSource, rows: Tensor) -> bool:
    """Return whether the clips are of splits in which events of the audio are annotated."""
    if not clips.sound_events or not len(rows):
        return False
    return set(clips.splits[rows.numpy()].tolist()) <= clips.dense_splits


def fit_segment_share(timed: TimedTags, thresholds: Values) -> float | None:
    """Return the share of highest segment-based F, the largest of equals; None without events."""
    if not len(timed.true):
        return None
    clips, classes = timed.clip.shape
    reached = [
        segment_based(timed.true, timed.detected(thresholds, share), clips, classes).f1
        for share in SHARES
    ]
    best = np.flatnonzero(np.array(reached) == max(reached))
    return float(SHARES[best[-1]])


def sound_event_scores(
    timed: TimedTags, thresholds: Values, share: float, seconds: int
) -> tuple[dict[str, float], Mapping[str, Values]]:
    """Return the scores of `SOUND_EVENT_NAMES`, and both F of each class [C]; NaN where undefined.

    `seconds` is how long a clip lasts.
    """
    clips, classes = timed.clip.shape
    found = timed.detected(thresholds, share)
    by_segment = segment_based(timed.true, found, clips, classes)
    by_event = event_based(timed.true, found, classes)
    scores = (by_segment.f1, by_segment.error_rate, by_event.f1)
    areas = psds(timed.segments, timed.edges, timed.true, float(clips * seconds))
    values = dict(zip(SOUND_EVENT_NAMES, scores, strict=False)) | areas
    return values, {"sed_segment_f1": by_segment.class_f1, "sed_event_f1": by_event.class_f1}
