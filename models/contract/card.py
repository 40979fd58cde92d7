"""What a net claims, and where that is written: the paper, its table rows, the differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from models.contract.task import Task

if TYPE_CHECKING:  # lists of experiments read cards without torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """One row of a paper's table."""

    paper: str
    """Authors and year."""
    table: str
    """Which tables."""
    row: str
    """The row as the paper names it."""
    numbers: Mapping[str, float]
    """Score name to the printed number."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings that stand for one row, or several equal rows, of the papers' tables."""

    name: str
    """How the command line calls it."""
    settings: Mapping[str, Any]
    """What differs from the net's defaults."""
    rows: tuple[PaperRow, ...]
    """The rows with the paper's numbers."""


@dataclass(frozen=True, kw_only=True)
class ReleasedWeights:
    """What is to know about files of weights that the authors' program wrote."""

    unused: tuple[str, ...] = ()
    """Modules and tensors that the authors' class builds and never uses."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings with which the authors' program evaluates, where they are not our defaults."""
    convert: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict
    """Return weights by our names, where the authors' class has others."""


@dataclass(frozen=True, kw_only=True)
class Departure:
    """What makes the system another one than the paper's, always or with some settings."""

    says: str
    """What is done here and what the paper does, one sentence part without a full stop."""
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """It holds where each of these settings of the training has one of these values."""
    recipe: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """And where each of these settings of the features' recipe has one of these values."""

    def holds(self, settings: Mapping[str, Any], recipe: Mapping[str, Any]) -> bool:
        """Return whether it holds for the settings of a training and a recipe.

        A recipe that does not say something counts as one with each of the values.
        """
        return all(settings[name] in values for name, values in self.settings.items()) and all(
            recipe.get(name, values[0]) in values for name, values in self.recipe.items()
        )


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a net claims, and where that is written."""

    name: str
    """Name in the registry."""
    title: str
    """Title of the paper."""
    paper: str
    """Authors, venue and year."""
    url: str
    """Address of the paper."""
    code: str
    """Address of the authors' code, or empty."""
    needs: tuple[str, ...]
    """Columns of the table `snippets` that it reads, and names of tables of instances."""
    dataset: str
    """Data set of the paper."""
    task: Task[Any, Any]
    """What it is trained for, and from which modalities."""
    experiments: tuple[Experiment, ...]
    """Every row that it can run; the first one is the model's defaults."""
    differences: tuple[str, ...]
    """Where it differs from the paper or the authors' code, one sentence each."""
    released: ReleasedWeights = ReleasedWeights()
    """How weights of the authors' program are read."""
    departures: tuple[Departure, ...] = ()
    """What makes it another system: trunks, edges, front end, regions, pre-training set. While one
    holds, no number of it stands beside the paper's."""
    ours: tuple[str, ...] = ()
    """Settings whose values are chosen here, because the paper does not state them."""
    truth: Literal["", "first", "corrected"] = ""
    """Edition of LLP's truth that the paper's scores were taken with; empty where nobody says."""
    train_splits: tuple[str, ...] = ()
    """The data set's own splits that the paper trains on; empty for all that are for training."""


def five(level: Literal["segment", "event"], *numbers: float) -> dict[str, float]:
    """Name the five numbers of a parsing table: audio, visual, audio-visual, Type@AV, Event@AV.

    >>> five("event", 1.0, 2.0, 3.0, 4.0, 5.0)["event_type_av"]
    4.0
    """
    kinds = ("audio", "visual", "audio_visual", "type_av", "event_av")
    return {f"{level}_{kind}": number for kind, number in zip(kinds, numbers, strict=True)}
