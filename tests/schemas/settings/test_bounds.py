"""Bounds of settings and options: what each allows, and the sentence for another value."""

import dataclasses
from typing import Annotated, Any, Literal

import pytest

from schemas.settings.bounds import (
    Above,
    AtLeast,
    AtMost,
    Below,
    Between,
    Bound,
    Even,
    Refused,
    ZeroOr,
    check,
    first_refused,
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """One setting of each kind."""

    whole: Annotated[int, Even(), AtLeast(2)] = 4
    share: Annotated[float, Between(0, 1)] = 0.5
    dropped: Annotated[float, Below(0, 1)] = 0.0
    factor: Annotated[float, Above(0)] = 1.0
    crop: Annotated[int, ZeroOr(96)] = 0
    plain: float = 0.0
    switch: bool = False
    folder: str = ""
    choice: Literal["one", "other"] = "one"
    limit: Annotated[int | None, AtLeast(1)] = None
    most: Annotated[float, AtMost(2.5)] = 1.0
    other: Any = None


def test_defaults_are_allowed() -> None:
    check(Settings())


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("whole", 7, "whole must be even and at least 2, got 7"),
        ("whole", 0, "whole must be even and at least 2, got 0"),
        ("whole", -1, "whole must be even and at least 2, got -1"),
        ("whole", 2.0, "whole must be a whole number, got 2.0"),
        ("whole", True, "whole must be a whole number, got True"),
        ("share", 1.5, "share must be from 0 to 1, got 1.5"),
        ("share", float("nan"), "share must be from 0 to 1 and finite, got nan"),
        ("dropped", 1, "dropped must be from 0 to below 1, got 1"),
        ("factor", 0, "factor must be above 0, got 0"),
        ("factor", float("inf"), "factor must be above 0 and finite, got inf"),
        ("crop", 95, "crop must be 0 or at least 96, got 95"),
        ("plain", float("-inf"), "plain must be finite, got -inf"),
        ("plain", "much", "plain must be a number, got 'much'"),
        ("switch", 1, "switch must be true or false, got 1"),
        ("folder", None, "folder must be a text, got None"),
        ("choice", "none", "choice must be one of one, other, got 'none'"),
        ("limit", 0, "limit must be at least 1, got 0"),
        ("limit", "1", "limit must be a whole number, got '1'"),
        ("most", 2.6, "most must be at most 2.5, got 2.6"),
        ("plain", False, "plain must be a number, got False"),
    ],
)
def test_impossible_value_is_one_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        check(dataclasses.replace(Settings(), **{name: value}))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("bound", "allowed", "refused", "said"),
    [
        (AtLeast(2), (2, 3), (1.9,), "at least 2"),
        (AtLeast(0), (0, 1), (-1,), "0 or above"),
        (AtMost(2), (2, 1), (2.1,), "at most 2"),
        (Above(2), (2.1,), (2, 1), "above 2"),
        (Between(1, 2), (1, 1.5, 2), (0.9, 2.1), "from 1 to 2"),
        (Below(1, 2), (1, 1.9), (0.9, 2), "from 1 to below 2"),
        (ZeroOr(3), (0, 3, 4), (1, 2.9), "0 or at least 3"),
        (Even(), (0, 2, 6), (1, 3), "even"),
    ],
)
def test_bound_allows_what_it_says(
    bound: Bound, allowed: tuple[float, ...], refused: tuple[float, ...], said: str
) -> None:
    assert all(bound.allows(value) for value in allowed)
    assert not any(bound.allows(value) for value in refused)
    assert str(bound) == said


def test_first_refused_setting_is_named_with_its_value() -> None:
    assert first_refused(Settings()) is None
    assert first_refused(Settings(limit=5, other=object())) is None
    assert first_refused(Settings(crop=5, share=-1.0)) == Refused("share", -1.0, "from 0 to 1")
