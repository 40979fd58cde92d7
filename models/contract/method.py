"""What the file of a net offers to the trainer: one record, `METHOD`, at its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import nn

from models.contract.card import ModelCard
from models.contract.config import TrainConfig

ConfigT = TypeVar("ConfigT", bound=TrainConfig)
ClipsT = TypeVar("ClipsT")
TrainingT = TypeVar("TrainingT")


def _same_config(config: Any, clips: object) -> Any:
    return config


def _same_clips(clips: Any, config: object, run: Path) -> Any:
    return clips


def _reads_the_store(config: object, run: Path) -> Mapping[str, Path]:
    return {}


def _nothing(*given: object) -> None:
    """Do nothing: the default of a hook."""


@dataclass(frozen=True, kw_only=True)
class Method(Generic[ConfigT, ClipsT, TrainingT]):
    """A net with its settings and its loss, and hooks where it needs more than the trainer does.

    `ClipsT` and `TrainingT` stand for records of the rooms above, which the contract does not
    import: `models.data.source.ClipSource` and `models.training.state.Training`.
    """

    card: ModelCard
    """Paper, task, experiments."""
    config: type[ConfigT]
    """Class of the settings."""
    build: Callable[[ConfigT], nn.Module]
    """Make the net."""
    loss: Callable[[ConfigT], nn.Module]
    """Make the loss: (outputs, batch) to named terms, `total` among them."""
    needs: Callable[[ConfigT], tuple[str, ...]] | None = None
    """Return the features that are read with these settings; None for those of the card."""
    pseudo_labels: bool = False
    """Whether it trains on the scores of every second in the store's table `pseudo_labels`."""
    check: Callable[[ConfigT, ClipsT], None] = _nothing
    """Raise `UsageError` for a store that the net cannot be trained on."""
    adapt: Callable[[ConfigT, ClipsT], ConfigT] = _same_config
    """Return the settings with those decided that are left to the data."""
    derive: Callable[[ClipsT, ConfigT, Path], ClipsT] = _same_clips
    """Return the clips that the net reads, when these are not what the store holds; the path is
    that of the run folder."""
    fused_runs: Callable[[ConfigT, Path], Mapping[str, Path]] = _reads_the_store
    """Return the run folders whose scores the net reads, by the name of the feature that they
    become; none for a net that reads the store. The path is that of its own run folder."""
    prepare: Callable[[TrainingT], None] = _nothing
    """Prepare a new training, changed in place: statistics, pre-training, cleaning of labels."""
    before_epoch: Callable[[TrainingT], None] = _nothing
    """Change a training in place when an epoch begins."""

    @property
    def derives(self) -> bool:
        """Whether the net reads other clips than the store's own (`derive`)."""
        return self.derive is not _same_clips

    def features(self, config: ConfigT) -> tuple[str, ...]:
        """Return the features that the net reads with these settings."""
        return self.card.needs if self.needs is None else self.needs(config)
