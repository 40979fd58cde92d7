"""Which values a setting or an option takes, said in its type and checked in one place.

    epochs: Annotated[int, AtLeast(1)] = 40
    limit: Annotated[int | None, AtLeast(1)] = None
    keep: Literal["best", "last"] = "best"

`check` reads the annotations of a dataclass: the kind of value, a closed list of values, bounds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
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
class AtMost:
    """Values up to `most`."""

    most: float

    def allows(self, value: float) -> bool:
        """Return whether the value keeps to the bound."""
        return value <= self.most

    def __str__(self) -> str:
        return f"at most {self.most:g}"


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


KINDS: dict[type, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    int: (lambda value: isinstance(value, Integral) and not isinstance(value, bool),
          "a whole number"),
    float: (lambda value: isinstance(value, Real) and not isinstance(value, bool), "a number"),
    str: (lambda value: isinstance(value, str), "a text"),
}  # fmt: skip
"""How a value of each kind is recognised, and what the kind is called."""


@dataclass(frozen=True)
class Refused:
    """A setting whose value its type does not allow."""

    name: str
    value: Any
    allowed: str
    """What is allowed, to go on from "must be"."""


def first_refused(record: Any) -> Refused | None:
    """Return the first setting of a dataclass whose value its type refuses, None for none."""
    for name, annotation in get_type_hints(type(record), include_extras=True).items():
        value = getattr(record, name)
        allowed = _allowed(annotation, value)
        if allowed:
            return Refused(name, value, allowed)
    return None


def check(record: Any) -> None:
    """Raise ValueError, in one sentence, for the first setting whose value its type refuses."""
    refused = first_refused(record)
    if refused is not None:
        raise ValueError(f"{refused.name} must be {refused.allowed}, got {refused.value!r}")


def _allowed(annotation: Any, value: Any) -> str:
    """Return what the type allows, when the value is not of it; empty when it is."""
    bounds: tuple[Bound, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        bounds = tuple(extra for extra in extras if hasattr(extra, "allows"))
    if isinstance(annotation, UnionType):  # such as `int | None`, where None is no setting
        if value is None:
            return ""
        annotation = next(kind for kind in get_args(annotation) if kind is not NoneType)
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return "" if value in choices else f"one of {', '.join(map(str, choices))}"
    fits, kind = KINDS.get(annotation, (None, ""))
    if fits is not None and not fits(value):
        return kind
    finite = annotation is not float or math.isfinite(value)
    if finite and all(bound.allows(value) for bound in bounds):
        return ""
    return " and ".join([*map(str, bounds), *([] if finite else ["finite"])])
