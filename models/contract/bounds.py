"""Which values a setting takes, said in its type and checked in one place.

    epochs: Annotated[int, AtLeast(1)] = 40
    keep: Literal["best", "last"] = "best"

`check` reads the annotations of a dataclass: the kind of value, a closed list of values, bounds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, Literal, Protocol, get_args, get_origin, get_type_hints


class Bound(Protocol):
    """A condition on a setting's value; `str` says it, so that "must be ..." is a sentence."""

    def allows(self, value: Any) -> bool:
        """Return whether the value keeps to the bound."""


@dataclass(frozen=True)
class AtLeast:
    """Values from `least` on."""

    least: float

    def allows(self, value: float) -> bool:
        """Return whether the value keeps to the bound."""
        return value >= self.least

    def __str__(self) -> str:
        return "0 or above" if self.least == 0 else f"at least {self.least:g}"


@dataclass(frozen=True)
class Above:
    """Values above `limit`, without it."""

    limit: float

    def allows(self, value: float) -> bool:
        """Return whether the value keeps to the bound."""
        return value > self.limit

    def __str__(self) -> str:
        return f"above {self.limit:g}"


@dataclass(frozen=True)
class Between:
    """Values from `low` to `high`, both allowed."""

    low: float
    high: float

    def allows(self, value: float) -> bool:
        """Return whether the value keeps to the bound."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}"


@dataclass(frozen=True)
class Below:
    """Values from `low` to below `limit`."""

    low: float
    limit: float

    def allows(self, value: float) -> bool:
        """Return whether the value keeps to the bound."""
        return self.low <= value < self.limit

    def __str__(self) -> str:
        return f"from {self.low} to below {self.limit}"


@dataclass(frozen=True)
class ZeroOr:
    """Zero, which switches something off, or values from `least` on."""

    least: float

    def allows(self, value: float) -> bool:
        """Return whether the value keeps to the bound."""
        return value == 0 or value >= self.least

    def __str__(self) -> str:
        return f"0 or at least {self.least:g}"


@dataclass(frozen=True)
class Even:
    """Whole numbers that two halves make up."""

    def allows(self, value: int) -> bool:
        """Return whether the value keeps to the bound."""
        return value % 2 == 0

    def __str__(self) -> str:
        return "even"


Size = Annotated[int, AtLeast(1)]
"""A number of things of which there must be one: units, layers, clips, epochs."""
Share = Annotated[float, Between(0, 1)]
"""A share of a whole."""
Dropout = Annotated[float, Below(0, 1)]
"""Probability that a unit is dropped in training."""
Rate = Annotated[float, Above(0)]
"""A positive factor."""
Weight = Annotated[float, AtLeast(0)]
"""Weight of a term of a loss."""
Cosine = Annotated[float, Between(-1, 1)]
"""A cosine, as of two feature vectors."""
Seed = Annotated[int, Between(0, 2**32 - 1)]
"""Seed of random numbers."""

KINDS: dict[type, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (lambda value: isinstance(value, Integral) and not isinstance(value, bool),
          "a whole number"),
    float: (lambda value: isinstance(value, Real) and not isinstance(value, bool), "a number"),
    str: (lambda value: isinstance(value, str), "a text"),
}  # fmt: skip
"""How a value of each kind is recognised, and what the kind is called."""


def check(record: Any) -> None:
    """Raise ValueError, in one sentence, for the first setting whose value its type refuses."""
    for name, annotation in get_type_hints(type(record), include_extras=True).items():
        value = getattr(record, name)
        allowed = _allowed(annotation, value)
        if allowed:
            raise ValueError(f"{name} must be {allowed}, got {value!r}")


def _allowed(annotation: Any, value: Any) -> str:
    """What the type allows, when the value is not of it; empty when it is."""
    bounds: tuple[Bound, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        bounds = tuple(extra for extra in extras if hasattr(extra, "allows"))
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return "" if value in choices else f"one of {', '.join(map(str, choices))}"
    fits, kind = KINDS.get(annotation, (lambda value: True, ""))
    if not fits(value):
        return kind
    words = [str(bound) for bound in bounds if not bound.allows(value)]
    if annotation is float and not math.isfinite(value):
        words = [*map(str, bounds), "finite"]
    return " and ".join(words)
