"""What a task reports about a split: numbers only, ready for JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

Scores = Mapping[str, float | None]
"""Score name to value; None where a score is not defined."""

PARTS = ("floor", "intervals", "classes", "confusion")
"""Parts of a report that not every task or split has."""


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """What is reported about one split; None for a part that there is not."""

    metrics: Scores
    """The split's scores."""
    floor: Scores | None = None
    """Scores of predicting nothing."""
    intervals: Mapping[str, Sequence[float]] | None = None
    """Score name to the ends of its 95 % bootstrap confidence interval over clips."""
    classes: Mapping[str, Scores] | None = None
    """Score name to class name to that class's score."""
    confusion: Sequence[Sequence[int]] | None = None
    """Counts of what is true (rows) against what is predicted (columns)."""

    def to_json(self) -> dict[str, Any]:
        """Return the parts that there are."""
        parts = {name: getattr(self, name) for name in PARTS}
        return {"metrics": self.metrics} | {
            name: part for name, part in parts.items() if part is not None
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the report back from `to_json`."""
        for name, value in data["metrics"].items():
            if value is not None and not math.isfinite(value):
                raise ValueError(f"score {name} is {value}")
        return cls(metrics=data["metrics"], **{name: data.get(name) for name in PARTS})


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Scores from which a class is predicted, and the clips that they were tuned on."""

    tuned_on: str
    """Split of those clips."""
    values: tuple[float, ...]
    """One threshold per class."""

    def to_json(self) -> dict[str, Any]:
        """Return both fields."""
        return {"tuned_on": self.tuned_on, "values": list(self.values)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the thresholds back from `to_json`."""
        values = tuple(map(float, data["values"]))
        if not all(map(math.isfinite, values)):
            raise ValueError("a threshold is not finite")
        return cls(tuned_on=str(data["tuned_on"]), values=values)


@dataclass(frozen=True, kw_only=True)
class TimelineRow:
    """One class over a clip: what is so, what the net decides, how sure it is."""

    label: str
    """Class name."""
    modality: str
    """`audio`, `visual`, or `clip` for a class of the whole clip."""
    truth: Sequence[bool] | None
    """Whether it is so in each second, [T]; one value for a whole clip; None where not known."""
    predicted: Sequence[bool]
    """The decisions, [T]."""
    probability: Sequence[float]
    """The scores, [T]."""


@dataclass(frozen=True, kw_only=True)
class ClipTimeline:
    """What a net says about one clip beside what is so."""

    key: str
    """Clip key."""
    f_score: float
    """F of the clip's decisions, from 0 to 1; 1 where nothing is there and nothing is found."""
    labels: Sequence[str]
    """Weak labels of the clip."""
    rows: Sequence[TimelineRow]
    """Classes that are so or found, the surest first."""


def origin(features: Mapping[str, Any]) -> str:
    """Return data set, weights and subset in words, from the features that results name.

    >>> origin({"dataset": "llp", "recipe": {"weights": "pretrained"}, "subset_id": "1f3a"})
    'data set llp, weights pretrained, subset 1f3a'
    """
    weights = features["recipe"]["weights"]
    return f"data set {features['dataset']}, weights {weights}, subset {features['subset_id']}"
