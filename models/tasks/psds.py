"""PSDS, the polyphonic sound detection score: how well scores tell events, at any threshold.

Bilen, Ferroni, Tuveri, Azcarreta, Krstulovic, "A Framework for the Robust Evaluation of Sound Event
Detection", ICASSP 2020, https://arxiv.org/abs/1910.08440; the two scenarios are those of DCASE 2021
task 4. Each class has a curve of its true positive ratio over its rate of false alarms an hour;
the score is the area under the mean curve less one standard deviation over classes.

Letters: E events, D detections, N clips, S segments, C classes, K thresholds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.tasks.event_scores import EventList, Values, runs

HOUR_S = 3600.0
MOST_RATE = 100.0
"""False alarms an hour up to which the area is taken."""
MOST_THRESHOLDS = 100
"""Thresholds that are tried for a class, closer together where scores are high and false alarms
few; with fewer different scores it is all of them."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What counts as found, and what false alarms cost."""

    detection: float
    """Share of a detection that true events of its class must cover."""
    truth: float
    """Share of a true event that such detections must cover."""
    cross: float = 1.0
    """Share of a false alarm from which on an event of another class has caused it."""
    cross_weight: float = 0.0
    """What alarms caused by another class cost besides, averaged over these classes."""
    spread_weight: float = 1.0
    """How many standard deviations over the classes are taken off."""


SCENARIOS: Mapping[str, Scenario] = {
    "psds1": Scenario(detection=0.7, truth=0.7),
    "psds2": Scenario(detection=0.1, truth=0.1, cross=0.3, cross_weight=0.5),
}
"""1 asks for exact times, 2 for not mistaking one class for another."""


def psds(scores: NDArray[np.floating], edges: Values, true: EventList, seconds: float) -> (
    dict[str, float]
):  # fmt: skip
    """Return PSDS of each scenario, as a fraction, for scores [N, S, C] and their true events.

    `edges` [S + 1] are the seconds in which segments begin and the last one ends, `seconds` is how
    long all clips last together. Classes without a true event do not count; NaN without any.
    """
    true = true.of(true.length > 0)
    classes = np.unique(true.label).tolist()
    if not classes:
        return dict.fromkeys(SCENARIOS, np.nan)
    truth = Truth(true, classes)
    points: dict[str, list[tuple[Values, Values]]] = {name: [] for name in SCENARIOS}
    for column, label in enumerate(classes):
        found = operating_points(scores[:, :, label], edges)
        overlaps = [Overlaps.of(one, truth) for one in found]
        for name, scenario in SCENARIOS.items():
            rates = [one.rates(column, scenario, seconds) for one in overlaps]
            points[name].append((np.array([r[0] for r in rates]), np.array([r[1] for r in rates])))
    return {name: area(points[name], scenario) for name, scenario in SCENARIOS.items()}


def operating_points(scores: NDArray[np.floating], edges: Values) -> list[EventList]:
    """Return the detections of one class, scores [N, S], at each of K thresholds."""
    values = np.unique(scores)
    values = values[values > 0]  # a score of zero is a segment that is not there
    if len(values) > MOST_THRESHOLDS:
        ranks = np.geomspace(1, len(values), MOST_THRESHOLDS).round().astype(int)
        values = values[len(values) - np.unique(ranks)]
    return [runs((scores >= value)[:, :, None], edges) for value in values]


class Truth:
    """True events by clip, with the classes that have some numbered 0 to C - 1."""

    def __init__(self, true: EventList, classes: list[int]) -> None:
        order = np.argsort(true.clip, kind="stable")
        self.events = true.of(order)
        self.column = np.searchsorted(classes, self.events.label)
        self.count = np.bincount(self.column)
        self.seconds = np.bincount(self.column, self.events.length)

    def pairs(self, found: EventList) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return detection and true event of every pair in one clip."""
        low = np.searchsorted(self.events.clip, found.clip)
        size = np.searchsorted(self.events.clip, found.clip, side="right") - low
        detection = np.repeat(np.arange(len(found)), size)
        within = np.arange(len(detection)) - np.repeat(np.cumsum(size) - size, size)
        return detection, np.repeat(low, size) + within


@dataclass(frozen=True, eq=False)
class Overlaps:
    """How much of D detections and of E true events overlaps, for detections of one class."""

    truth: Truth
    detection: NDArray[np.int64]
    """Detection of each pair of a clip."""
    event: NDArray[np.int64]
    """True event of each pair."""
    shared: Values
    """Seconds that a pair has in common."""
    covered: Values
    """Share of each detection that true events of each class cover, [D, C]."""

    @classmethod
    def of(cls, found: EventList, truth: Truth) -> "Overlaps":
        """Return the overlaps of detections with the truth."""
        detection, event = truth.pairs(found)
        true = truth.events
        last = np.minimum(found.offset[detection], true.offset[event])
        shared = last - np.maximum(found.onset[detection], true.onset[event])
        meets = shared > 0
        detection, event, shared = detection[meets], event[meets], shared[meets]
        columns = len(truth.count)
        place = detection * columns + truth.column[event]
        covered = np.bincount(place, shared, minlength=len(found) * columns)
        share = covered.reshape(len(found), columns) / found.length[:, None]
        return cls(truth, detection, event, shared, share)

    def rates(self, column: int, scenario: Scenario, seconds: float) -> tuple[float, float]:
        """Return the weighted rate of false alarms an hour and the share of true events found."""
        valid = self.covered[:, column] >= scenario.detection
        pair = valid[self.detection] & (self.truth.column[self.event] == column)
        found = np.bincount(self.event[pair], self.shared[pair], minlength=len(self.truth.events))
        own = self.truth.column == column
        share = found[own] / self.truth.events.length[own]
        hits = float((share >= scenario.truth).sum() / self.truth.count[column])
        alarms = HOUR_S * float((~valid).sum()) / seconds
        others = np.arange(len(self.truth.count)) != column
        if scenario.cross_weight and others.any():
            crossed = (self.covered[~valid] >= scenario.cross).sum(axis=0) / self.truth.seconds
            alarms += scenario.cross_weight * HOUR_S * float(crossed[others].mean())
        return alarms, hits


def area(curves: list[tuple[Values, Values]], scenario: Scenario) -> float:
    """Return the area, 0 to 1, under the classes' curves of (rate, hits) brought together."""
    rates = np.unique(np.concatenate([[0.0, MOST_RATE], *(rate for rate, _ in curves)]))
    rates = rates[rates <= MOST_RATE]
    hits = np.stack([staircase(rates, *curve) for curve in curves])
    height = (hits.mean(axis=0) - scenario.spread_weight * hits.std(axis=0)).clip(0.0)
    return float((np.diff(rates) * height[:-1]).sum() / MOST_RATE)


def staircase(at: Values, rate: Values, hits: Values) -> Values:
    """Return the most hits that a class has at no more than each rate; 0 where there is none."""
    order = np.argsort(rate, kind="stable")
    best = np.maximum.accumulate(np.concatenate([[0.0], hits[order]]))
    return np.asarray(best[np.searchsorted(rate[order], at, side="right")])
