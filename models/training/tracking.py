"""Trackers: what hears of every epoch of a training while it goes, such as TensorBoard.

A tracker of your own is a function that takes a `TrackedRun` and returns a `Tracker`:
`--track my_package.my_module:open_tracker`.
"""

import importlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from models.contract.report import SplitReport
from models.runtime import distributed as parallel
from models.runtime import files
from schemas import JobError, UsageError
from schemas.messages import printable, unknown

TRACKERS = {
    "tensorboard": "models.training.trackers:TensorBoard",
    "wandb": "models.training.trackers:WeightsAndBiases",
    "mlflow": "models.training.trackers:MLflow",
}
"""Trackers by name."""
PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}
"""Package that each one needs; none of them comes with earsight."""
INSTALL = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow-skinny"}
"""What to install for it."""
REMEMBERED = "tracking.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told when a training begins or goes on."""

    folder: Path
    """Run folder."""
    experiment: str
    """Name of the experiment."""
    model: str
    """Name of the net."""
    settings: Mapping[str, Any]
    """Settings of the training."""
    epochs_done: int = 0
    """Epochs that a resumed training has behind it; the tracker has heard of these, and perhaps of
    some more, which come again."""

    def recall(self, tracker: str) -> str | None:
        """Return what the tracker remembered of this run before it was stopped."""
        path = self.folder / REMEMBERED
        return files.read_json(path, "no tracked run").get(tracker) if path.is_file() else None

    def remember(self, tracker: str, name: str) -> None:
        """Keep under which name the tracker knows the run, for a training that goes on."""
        path = self.folder / REMEMBERED
        known = files.read_json(path, "no tracked run") if path.is_file() else {}
        files.write_json(path, {**known, tracker: name})


class Tracker(Protocol):
    """What hears of a training; an exception in it ends the tracking, not the training."""

    def epoch(self, line: Mapping[str, float]) -> None:
        """Take what an epoch brought: `epoch`, `rate`, loss terms, validation scores `val_...`."""

    def finish(self, scores: Mapping[str, float]) -> None:
        """Take the scores of the trained net as `split/score`, and end."""


@dataclass(eq=False)
class Trackers:
    """The trackers of one training; one that fails is left out with a warning."""

    opened: dict[str, Tracker] = field(default_factory=dict)

    @classmethod
    def open(cls, names: Sequence[str], run: TrackedRun) -> Self:
        """Open trackers by name; of several processes the first one has them.

        `JobError` for one that cannot be opened.
        """
        trackers = cls()
        for name in names if parallel.rank() == 0 else ():
            try:
                trackers.opened[name] = load(name)(run)
            except Exception as error:  # noqa: BLE001 whatever a tracker raises
                raise JobError(f"tracker {name} cannot be opened ({_said(error)})") from None
        return trackers

    def epoch(self, line: Mapping[str, float]) -> None:
        """Tell what an epoch brought."""
        for name, tracker in list(self.opened.items()):
            self._tell(name, lambda tracker=tracker: tracker.epoch(line))  # type: ignore[misc]

    def finish(self, reports: Mapping[str, SplitReport]) -> None:
        """Tell the scores of the trained net."""
        scores = {
            f"{split}/{name}": value
            for split, report in reports.items()
            for name, value in report.metrics.items()
            if value is not None
        }
        for name, tracker in list(self.opened.items()):
            self._tell(name, lambda tracker=tracker: tracker.finish(scores))  # type: ignore[misc]

    def _tell(self, name: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 whatever a tracker raises costs no training
            self.opened.pop(name, None)
            logger.warning("tracker %s is left out from here on (%s)", name, _said(error))


def _said(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {' '.join(str(error).split())}", 300)


def check(names: Sequence[str]) -> None:
    """Raise `UsageError` for a tracker that does not exist or lacks its package."""
    for name in names:
        load(name)


def load(name: str) -> Callable[[TrackedRun], Tracker]:
    """Return what opens a tracker; `UsageError` when there is no such tracker."""
    module, colon, function = TRACKERS.get(name, name).partition(":")
    if not (module and colon and function):
        more = "module:function of yours"
        raise UsageError(f"{unknown('tracker', name, sorted(TRACKERS))}, or {more}")
    try:
        if name in PACKAGES:
            importlib.import_module(PACKAGES[name])
        opener: Callable[[TrackedRun], Tracker] = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if name not in PACKAGES:
            raise UsageError(f"tracker {name} cannot be imported ({error})") from None
        raise UsageError(
            f"tracker {name} needs the package {PACKAGES[name]}, which is not installed; "
            f"pip install {INSTALL[name]}, or leave it out"
        ) from None
    except AttributeError:
        raise UsageError(f"tracker {name}: module {module} has no {function!r}") from None
    return opener
