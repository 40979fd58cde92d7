"""What a sweep searches: ranges and lists of settings, read from the words of the command line."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_args, get_type_hints

from models.contract.config import TrainConfig
from schemas import UsageError
from schemas.messages import quoted, unknown

NOT_SEARCHED = ("seed", "classes", "device")
"""Settings that say nothing about a net: the best seed is luck."""
LOG_FROM = 10.0
"""A range is searched on a log scale when its end is at least so many times its start."""
BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}
"""How a setting that is on or off is written."""

ConfigT = TypeVar("ConfigT", bound=TrainConfig)


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """Values of one setting: those of a list, or all from the first to the last."""

    name: str
    """Field of the settings."""
    values: tuple[Any, ...]
    """Choices in order, or the two ends of a range."""
    ranged: bool = False
    """Whether these are ends."""

    @property
    def log(self) -> bool:
        """Whether it is a range that is searched on a log scale."""
        return self.ranged and self.values[0] > 0 and self.values[1] >= LOG_FROM * self.values[0]

    @property
    def option(self) -> str:
        """The setting as an option."""
        return f"--{self.name.replace('_', '-')}"


Space = tuple[Dimension, ...]


def combinations(space: Space) -> int | None:
    """Return how many settings there are to try; None where there is a range."""
    if any(dimension.ranged for dimension in space):
        return None
    return math.prod(len(dimension.values) for dimension in space)


def read_space(words: Sequence[str], config: TrainConfig) -> Space:
    """Return what `name=low..high` and `name=a,b,c` ask for; `UsageError` for what is wrong.

    Every value is checked as if it were given to its option, beside the other settings.
    """
    space = tuple(_dimension(word, config) for word in words)
    names = [dimension.name for dimension in space]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"--sweep names {twice!r} twice; give all its values in one word")
    return space


def _dimension(word: str, config: TrainConfig) -> Dimension:
    option, equals, given = word.partition("=")
    name = option.removeprefix("--").replace("-", "_")
    if not equals or not given:
        raise UsageError(
            f"--sweep takes name=low..high or name=a,b,c, such as learning-rate=1e-5..1e-3, got "
            f"{quoted(word)}"
        )
    known = [setting for setting in config.to_json() if setting not in NOT_SEARCHED]
    if name in NOT_SEARCHED:
        raise UsageError(f"--sweep cannot search {name!r}, which is no setting of the net")
    if name not in known:
        raise UsageError(unknown("setting to sweep", name, known))
    ranged = ".." in given
    parts = given.split("..") if ranged else given.split(",")
    values = tuple(_value(name, part, config) for part in parts)
    if ranged:
        _check_range(name, given, values)
    elif len(set(values)) < len(values):
        raise UsageError(f"--sweep {quoted(word)} gives a value twice; give each once")
    for value in values:
        changed(config, {name: value})
    return Dimension(name=name, values=values, ranged=ranged)


def _check_range(name: str, given: str, values: tuple[Any, ...]) -> None:
    if len(values) != 2 or any(isinstance(value, bool | str) for value in values):
        raise UsageError(f"--sweep {name} has no numbers from low to high in {quoted(given)}")
    if not values[0] < values[1]:
        raise UsageError(f"--sweep {name} goes from {values[0]} to {values[1]}; give low..high")


def _value(name: str, text: str, config: TrainConfig) -> Any:
    """Return the text as the type of the setting; `UsageError` when it is none of its values."""
    kind = get_type_hints(type(config))[name]
    try:
        return _as_kind(kind, text.strip())
    except ValueError:
        allowed = ", ".join(map(str, get_args(kind))) or getattr(kind, "__name__", str(kind))
        raise UsageError(
            f"--sweep {name} has {quoted(text)}, which is no value of it ({allowed})"
        ) from None


def _as_kind(kind: Any, text: str) -> Any:
    """Return a text as a value of a type; ValueError when it is none."""
    choices = BOOLEANS if kind is bool else {str(value): value for value in get_args(kind)}
    if choices:
        if text not in choices:
            raise ValueError(text)
        return choices[text]
    return kind(text)


def changed(config: ConfigT, values: Mapping[str, Any]) -> ConfigT:
    """Return the settings with some of them changed; `UsageError` when they refuse the values."""
    try:
        return replace(config, **values)
    except ValueError as error:
        said = ", ".join(f"{name}={value}" for name, value in values.items())
        raise UsageError(f"--sweep came to {said}, and {error}") from None
