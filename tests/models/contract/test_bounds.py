"""Settings of nets: every number has a bound, and odd sizes are built or refused in a sentence."""

from typing import Annotated, get_args, get_origin, get_type_hints

import pytest

from models import registry
from models.contract.config import TaggingConfig
from models.registry import MODELS

ODD_SIZES = (1, 3, 7)
"""Sizes that a user may try; some nets cannot be built with some of them."""
LARGE = {"hidden": 32, "feedforward": 32, "layers": 1, "units": 16, "channels": 4, "classes": 5}
"""What the other sizes are set to, so that a net is quick to build."""


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
