"""How well events of sound are found: segment-based and event-based scores.

The definitions are those of Mesaros, Heittola, Virtanen, "Metrics for Polyphonic Sound Event
Detection", Applied Sciences 6(6), 2016, with the defaults of its toolbox sed_eval 0.2.1: counts
are pooled over clips and classes. Segment-based scores look at each second; event-based ones pair
each true event with at most one found event of its class whose ends agree.

Letters: E events, N clips, S segments of a clip, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESOLUTION_S = 1.0
"""Length of a segment of the segment-based scores."""
COLLAR_S, COLLAR_SHARE = 0.2, 0.5
"""Onsets agree within the collar; offsets within the collar or this share of the true event."""

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class EventList:
    """E events: [E] index of the clip, index of the class, onset and offset in seconds."""

    clip: Indices
    label: Indices
    onset: Values
    offset: Values

    def __len__(self) -> int:
        return len(self.clip)

    def of(self, kept: Mask | Indices) -> "EventList":
        """Return some of the events."""
        return EventList(
            clip=self.clip[kept], label=self.label[kept],
            onset=self.onset[kept], offset=self.offset[kept],
        )  # fmt: skip

    @property
    def length(self) -> Values:
        """Seconds that each event lasts, [E]."""
        return self.offset - self.onset


def runs(active: Mask, edges: Values) -> EventList:
    """Return the unbroken runs of a mask [N, S, C] as events, by clip, class and time.

    `edges` [S + 1] are the seconds in which segments begin, and in which the last one ends.
    """
    change = np.diff(active.transpose(0, 2, 1).astype(np.int8), axis=2, prepend=0, append=0)
    clip, label, first = np.nonzero(change == 1)
    _, _, last = np.nonzero(change == -1)
    return EventList(clip=clip, label=label, onset=edges[first], offset=edges[last])


def activity(events: EventList, shape: tuple[int, int, int]) -> Mask:
    """Return which class is active in which segment, bool [N, S, C]: where an event touches it."""
    clips, segments, classes = shape
    change = np.zeros((clips, segments + 1, classes), np.int32)
    first = np.floor(events.onset / RESOLUTION_S).astype(np.int64)
    last = np.ceil(events.offset / RESOLUTION_S).astype(np.int64)
    np.add.at(change, (events.clip, first, events.label), 1)
    np.add.at(change, (events.clip, np.maximum(first, last), events.label), -1)
    return np.asarray(change.cumsum(axis=1)[:, :-1] > 0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Agreement:
    """F of all classes together and of each class [C], as fractions; NaN where undefined."""

    f1: float
    class_f1: Values
    error_rate: float = np.nan
    """Substitutions, deletions and insertions per true segment; may exceed 1."""


def segment_based(true: EventList, found: EventList, clips: int, classes: int) -> Agreement:
    """Return segment-based F and error rate of events of N clips and C classes."""
    ends = [
        float(max(part.onset.max(initial=0.0), part.offset.max(initial=0.0))) + RESOLUTION_S
        for part in (true, found)
    ]
    shape = (clips, int(np.ceil(max(ends) / RESOLUTION_S)), classes)
    truth, said = activity(true, shape), activity(found, shape)
    hits, extra, missed = truth & said, said & ~truth, truth & ~said
    insertions, deletions = extra.sum(axis=2), missed.sum(axis=2)
    errors = np.maximum(insertions, deletions).sum()  # a pair of both is one substitution
    return Agreement(
        f1=float(f_of(hits.sum(), extra.sum(), missed.sum())),
        class_f1=f_of(*(part.sum(axis=(0, 1)) for part in (hits, extra, missed))),
        error_rate=float(errors / truth.sum()) if truth.any() else np.nan,
    )


def event_based(true: EventList, found: EventList, classes: int) -> Agreement:
    """Return event-based F of events of C classes; events without length do not count."""
    true, found = (part.of(part.length > 0) for part in (true, found))
    hits = np.zeros(classes)
    for label, truth, said in by_clip_and_class(true, found):
        hits[label] += matched(truth, said)
    held = [np.bincount(part.label, minlength=classes) for part in (true, found)]
    missed, extra = (counts - hits for counts in held)
    return Agreement(
        f1=float(f_of(hits.sum(), extra.sum(), missed.sum())), class_f1=f_of(hits, extra, missed)
    )


def by_clip_and_class(
    true: EventList, found: EventList
) -> Iterator[tuple[int, EventList, EventList]]:
    """Yield class, true and found events of every clip and class that has both."""
    classes = 1 + int(max(true.label.max(initial=0), found.label.max(initial=0)))
    groups = []
    for events in (true, found):
        place = events.clip * classes + events.label
        order = np.argsort(place, kind="stable")
        names, first = np.unique(place[order], return_index=True)
        parts = np.split(order, first[1:]) if len(names) else []
        groups.append(dict(zip(names.tolist(), parts, strict=True)))
    for name in groups[0].keys() & groups[1].keys():
        yield name % classes, true.of(groups[0][name]), found.of(groups[1][name])


def matched(true: EventList, found: EventList) -> int:
    """Return how many pairs of a true and a found event agree, each event in one pair at most."""
    from scipy.sparse import csr_matrix  # 0.2 s that a training without strong labels needs not
    from scipy.sparse.csgraph import maximum_bipartite_matching

    tolerance = np.maximum(COLLAR_S, COLLAR_SHARE * true.length)[:, None]
    agree = np.abs(true.onset[:, None] - found.onset) <= COLLAR_S
    agree &= np.abs(true.offset[:, None] - found.offset) <= tolerance
    return int((maximum_bipartite_matching(csr_matrix(agree)) >= 0).sum())


def f_of(hits: Values, extra: Values, missed: Values) -> Values:
    """Return 2 TP / (2 TP + FP + FN); NaN where nothing is true and nothing found."""
    total = 2 * hits + extra + missed
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), np.nan)
