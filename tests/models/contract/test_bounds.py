"""Settings: one check for all of them, and one sentence for a value that cannot be."""

import dataclasses
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest

from models import registry
from models.contract.bounds import Above, AtLeast, Below, Between, Even, ZeroOr, check
from models.contract.config import TaggingConfig
from models.registry import MODELS

ODD_SIZES = (1, 3, 7)
"""Sizes that a user may try; some nets cannot be built with some of them."""
LARGE = {"hidden": 32, "feedforward": 32, "layers": 1, "units": 16, "channels": 4, "classes": 5}
"""What the other sizes are set to, so that a net is quick to build."""


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
    ],
)
def test_impossible_value_is_one_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        check(dataclasses.replace(Settings(), **{name: value}))
    assert str(refused.value) == sentence


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_number_of_every_net_has_a_bound(name: str) -> None:
    hints = get_type_hints(registry.load(name).config, include_extras=True)
    for setting, hint in hints.items():
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if kind in (int, float):
            assert get_origin(hint) is Annotated, f"{setting} has no bound"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_odd_sizes_build_or_are_refused_in_one_sentence(name: str) -> None:
    """`build("talnet", hidden=7)` and its like."""
    config = registry.load(name).config
    hints = get_type_hints(config, include_extras=True)
    refused: list[tuple[str, str]] = []
    own = set(hints) - set(get_type_hints(TaggingConfig)) - {"swap_seed"}
    for setting in sorted(name for name in own if get_args(hints[name])[:1] == (int,)):
        for size in ODD_SIZES:
            changes = {key: value for key, value in LARGE.items() if key in hints}
            try:
                registry.build(name, **{**changes, setting: size})
            except ValueError as error:
                refused.append((setting, str(error)))
    assert all(setting in said and "\n" not in said for setting, said in refused)
