"""What a task reports about a split: numbers only, ready for JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

Scores = Mapping[str, float | None]
"""Score name to value; None where a score is not defined."""

PARTS = ("floor", "intervals", "classes", "confusion", "calibration", "ranked", "ontology")
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
    calibration: Mapping[str, float] | None = None
    """Expected calibration error of the scores, `ece_before` and `ece_after` their calibration."""
    ranked: Mapping[str, int] | None = None
    """How many `classes` there are, and how many are `counted` in the means over classes: those
    that some clips have and some have not."""
    ontology: Mapping[str, Sequence[float | None]] | None = None
    """`omap_by_level` from level 0, `map_by_depth` from the first classes of the ontology."""

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
class Calibration:
    """What turns scores s into probabilities: sigmoid(slope * logit(s) + offset)."""

    fitted_on: str
    """Split of the clips that it was fitted on."""
    slope: float
    """Above 0, so that the order of the scores stays."""
    offset: float

    def to_json(self) -> dict[str, Any]:
        """Return the three fields."""
        return {"fitted_on": self.fitted_on, "slope": self.slope, "offset": self.offset}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the calibration back from `to_json`."""
        slope, offset = float(data["slope"]), float(data["offset"])
        if not (math.isfinite(slope) and math.isfinite(offset) and slope > 0.0):
            raise ValueError(f"a calibration has slope {slope} and offset {offset}")
        return cls(fitted_on=str(data["fitted_on"]), slope=slope, offset=offset)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Scores from which a class is predicted, and the clips that they were tuned on."""

    tuned_on: str
    """Split of those clips."""
    values: tuple[float, ...]
    """One threshold per class."""
    calibration: Calibration | None = None
    """What turns scores and thresholds into probabilities; None where nothing could be fitted."""
    segment_share: float | None = None
    """Share of a class's threshold from which on its score over time is an event; None where there
    were no validation clips with dense truth to tune it on."""

    def to_json(self) -> dict[str, Any]:
        """Return every field."""
        fitted = None if self.calibration is None else self.calibration.to_json()
        return {
            "tuned_on": self.tuned_on, "values": list(self.values), "calibration": fitted,
            "segment_share": self.segment_share,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the thresholds back from `to_json`."""
        values = tuple(map(float, data["values"]))
        if not all(map(math.isfinite, values)):
            raise ValueError("a threshold is not finite")
        fitted = data.get("calibration")
        calibration = None if fitted is None else Calibration.from_json(fitted)
        share = data.get("segment_share")
        if share is not None and not math.isfinite(share):
            raise ValueError(f"segment_share is {share}")
        return cls(
            tuned_on=str(data["tuned_on"]), values=values, calibration=calibration,
            segment_share=None if share is None else float(share),
        )  # fmt: skip


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
