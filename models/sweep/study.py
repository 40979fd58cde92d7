"""The trials of a sweep and what they came to, in a file that survives a kill, by Optuna."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from models.sweep.space import Space, combinations
from schemas import UsageError
from schemas.messages import printable

FILE = "sweep.db"
FIRST_AT_RANDOM = 5
"""Trials of a range before the sampler goes by what it has seen."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One setting that was tried, or is to be."""

    number: int
    """Counted from 0."""
    values: Mapping[str, Any]
    """Settings by name."""
    score: float | None = None
    """Validation score; None while it runs, and for a training that diverged."""
    ended: bool = False
    """Whether it is over."""
    kept_epoch: int = 0
    """Epoch whose weights were kept."""
    seconds: float = 0.0
    """How long it took, from its last start."""


class Study:
    """Trials of one sweep, kept in `FOLDER/sweep.db` (SQLite).

    A range is searched by a tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), lists
    alone by every combination. Each trial draws from the seed and its own number, so a sweep that
    was killed goes on as one that was not. `UsageError` when Optuna is not installed, when the file
    is damaged, or when it holds a sweep of something else.
    """

    def __init__(self, folder: Path, space: Space, seed: int, about: Mapping[str, Any]) -> None:
        self.optuna = _optuna()
        self.path, self.space, self.seed = folder / FILE, space, seed
        self.live: Any = None
        with self._readable():
            self.study = self.optuna.create_study(
                storage=_address(self.path), study_name="sweep", direction="maximize",
                load_if_exists=True,
            )  # fmt: skip
            self._refuse_other(about)
            if combinations(space) is not None and not self.study.trials:
                for chosen in product(*(dimension.values for dimension in space)):
                    names = (dimension.name for dimension in space)
                    self.study.enqueue_trial(dict(zip(names, chosen, strict=True)))

    def next(self) -> Trial:
        """Return the trial that was begun and not ended, or begin another."""
        with self._readable():
            begun = self._in_state("RUNNING")
            number = begun[0].number if begun else len(self.trials())
            self.study.sampler = self.optuna.samplers.TPESampler(
                seed=(self.seed * 1_000_003 + number) % 2**32, n_startup_trials=FIRST_AT_RANDOM
            )
            # what a begun trial has drawn comes back from the file
            self.live = (
                self.optuna.trial.Trial(self.study, begun[0]._trial_id)
                if begun
                else self.study.ask()
            )
            values = {one.name: _suggest(self.live, one) for one in self.space}
            return Trial(number=number, values=values)

    def end(self, score: float | None, kept_epoch: int, seconds: float) -> None:
        """Write down what the trial of `next` came to; without a score it has failed."""
        with self._readable():
            self.live.set_user_attr("kept_epoch", kept_epoch)
            self.live.set_user_attr("seconds", round(seconds, 1))
            states = self.optuna.trial.TrialState
            state = states.FAIL if score is None else states.COMPLETE
            self.study.tell(self.live, score, state=state)

    def trials(self) -> list[Trial]:
        """Return the trials that were begun, in order."""
        with self._readable():
            return [
                Trial(
                    number=held.number, values=held.params, score=held.value,
                    ended=held.state.is_finished(), **held.user_attrs,
                )
                for held in self.study.trials
                if held.state.name != "WAITING"
            ]  # fmt: skip

    def best(self) -> Trial | None:
        """Return the ended trial of the highest score, the first of equals; None without any."""
        scored = [trial for trial in self.trials() if trial.score is not None]
        return max(scored, key=lambda trial: trial.score or 0.0, default=None)

    def _in_state(self, name: str) -> list[Any]:
        return [held for held in self.study.trials if held.state.name == name]

    def _refuse_other(self, about: Mapping[str, Any]) -> None:
        before = self.study.user_attrs.get("about")
        now = json.loads(json.dumps(about))
        if before is None:
            self.study.set_user_attr("about", now)
            return
        other = next((name for name in now if before.get(name) != now[name]), None)
        if other is not None:
            raise UsageError(
                f"{self.path.parent} holds a sweep with another {other} "
                f"({printable(repr(before.get(other)), 100)}, now "
                f"{printable(repr(now[other]), 100)}); go on with the same command or take another "
                "--run folder"
            )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, self.optuna.exceptions.StorageInternalError) as error:
            said = printable(str(error.__cause__ or error), 200)
            raise UsageError(
                f"{self.path} does not open as the trials of a sweep ({said}); start anew with "
                "--overwrite"
            ) from None


def _suggest(trial: Any, dimension: Any) -> Any:
    low, high = dimension.values[0], dimension.values[-1]
    if not dimension.ranged:
        return trial.suggest_categorical(dimension.name, dimension.values)
    kind = trial.suggest_int if isinstance(low, int) else trial.suggest_float
    return kind(dimension.name, low, high, log=dimension.log)


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise UsageError(
            "--sweep needs the package optuna, which is not installed; pip install "
            '"earsight[sweep]"'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _address(path: Path) -> str:
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path.absolute())).render_as_string()
