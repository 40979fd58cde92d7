"""What a net is trained for. A task is one file of `models.tasks`; a net's card names it.

The trainer, the evaluation and the commands never ask which task it is: they call its methods.
`Clips` stands for the clips of a store (`models.data.source.ClipSource`), which the contract does
not import, and `Predictions` for the task's own record of what a net says about clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from models.contract.config import TrainConfig
from models.contract.report import ClipTimeline, SplitReport, Thresholds

if TYPE_CHECKING:  # lists of experiments read cards without torch
    from torch import Tensor, nn

Modality = Literal["audio", "visual"]
Clips = TypeVar("Clips")
Predictions = TypeVar("Predictions")


class Task(Protocol[Clips, Predictions]):
    """From a net's outputs to decisions, and from decisions to scores, tables and figures."""

    @property
    def name(self) -> str:
        """What the task is called in lists."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities that the net reads."""

    @property
    def selection_metric(self) -> str:
        """Validation score by which an epoch is kept; higher is better."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Scores that papers print for the task, each with the head of its column."""

    @property
    def curves(self) -> tuple[str, ...]:
        """Validation scores that are drawn over the epochs, those that there are."""

    @property
    def unit(self) -> str:
        """Label of their axis."""

    @property
    def partial_gradients(self) -> bool:
        """Whether a loss may leave some of a net's heads without gradient."""

    def printed(self, name: str, value: float) -> float:
        """Return a score in the unit in which tables print it."""

    def hold_out(self, clips: Clips) -> Clips:
        """Return the clips with some held out for validation, where the task does that."""

    def check(self, clips: Clips) -> None:
        """Raise `UsageError` for training clips from which nothing can be learned."""

    @property
    def validation_clips(self) -> str:
        """What the clips are called on which it can validate."""

    def can_validate(self, clips: Clips) -> bool:
        """Return whether there are validation clips with the truth that the task needs."""

    def predict(self, model: nn.Module, clips: Clips, rows: Tensor, config: TrainConfig) -> (
        Predictions
    ):  # fmt: skip
        """Run a net over the clips `rows` [N] without training it."""

    def validate(
        self, predictions: Predictions, clips: Clips, config: TrainConfig
    ) -> dict[str, float]:
        """Return the finite scores of validation clips, `selection_metric` among them."""

    def fit(self, model: nn.Module, clips: Clips, config: TrainConfig) -> Thresholds | None:
        """Tune what turns scores into decisions; None for a task that tunes nothing."""

    def evaluate(
        self,
        predictions: Predictions,
        clips: Clips,
        split: str,
        config: TrainConfig,
        thresholds: Thresholds | None,
    ) -> SplitReport:
        """Return everything that is reported about a split."""

    def written_splits(self, clips: Clips) -> Sequence[str]:
        """Return the splits whose predictions are written."""

    def write(
        self,
        path: Path,
        clips: Clips,
        predictions: Iterable[tuple[str, Predictions]],
        thresholds: Thresholds | None,
    ) -> None:
        """Write predictions as Parquet, with their split; class names are in the metadata.

        Those of a split may come in several parts, which are not held together.
        """

    def timelines(self, path: Path, clips: Clips) -> Mapping[str, Sequence[ClipTimeline]]:
        """Return the worst, the best and some random clips of what `write` wrote, by kind."""

    def draw(
        self,
        folder: Path,
        clips: Clips,
        predictions: Mapping[str, Predictions],
        reports: Mapping[str, SplitReport],
    ) -> None:
        """Draw the task's figures into a run folder."""
