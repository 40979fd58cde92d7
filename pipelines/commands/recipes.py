"""`beam recipes`: what every recipe fixes, or what the recipe of a store fixed."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from pipelines.store.feature_store import FeatureStore
from schemas import FEATURES, RECIPES, Recipe, UsageError


@dataclass(frozen=True, kw_only=True)
class Options:
    """Show every recipe side by side, or the one that a store was made by.

    Shards of two recipes never mix: a store belongs to one hash, and every setting is in the hash.
    Options of `beam run features` change single settings, for instance --proposals 100.
    Example: beam recipes; beam recipes out/demo --json
    """

    out: Annotated[str | None, tyro.conf.Positional] = None
    """Folder or URI of a store; its recipe is shown instead."""
    json: bool = False
    """Print JSON."""


def run(options: Options, rest: list[str]) -> int:
    """Print the recipes."""
    found = dict(RECIPES) if options.out is None else {options.out: recipe_of(options.out)}
    if options.json:
        Console().print_json(json.dumps({name: one.to_json() for name, one in found.items()}))
        return 0
    recipes = list(found.values())
    table = Table("setting", *(one.name for one in recipes), title_justify="left")
    for setting in asdict(recipes[0]):
        if setting != "name":
            table.add_row(setting, *(_shown(getattr(one, setting)) for one in recipes))
    table.add_row("hash", *(one.hash for one in recipes))
    always = Table("in every recipe", "", box=None, pad_edge=False)
    for name, feature in FEATURES.items():
        always.add_row(name, feature.about)
    console = Console()
    console.print(table, always, sep="\n")
    return 0


def recipe_of(out: str) -> Recipe:
    """The recipe of a store; `UsageError` where there is none."""
    identity = FeatureStore(out).identity()
    if identity is None:
        raise UsageError(f"{out} holds no store.json, so it is no feature store")
    return identity.recipe


def _shown(value: object) -> str:
    return "\n".join(value) if isinstance(value, tuple) else str(value)
