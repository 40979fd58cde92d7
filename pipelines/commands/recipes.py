"""`beam recipes`: what every recipe fixes, or what the recipe of a store fixed."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro
from rich.table import Table

from schemas import FEATURES, RECIPES, Recipe, UsageError
from schemas.messages import printable, suggestion
from schemas.settings import screen


@dataclass(frozen=True, kw_only=True)
class Options:
    """Show every recipe side by side, or the one that a store was made by.

    Shards of two recipes never mix: a store belongs to one hash, and every setting is in the hash.
    Options of `beam run features` change single settings, for instance --proposals 100.
    Example: beam recipes; beam recipes llp-eccv20; beam recipes out/demo --json
    """

    name: Annotated[str | None, tyro.conf.Positional] = None
    """Name of a recipe, or folder or URI of a store; that recipe is shown alone."""
    json: bool = False
    """Print JSON."""


def run(options: Options, rest: list[str]) -> int:
    """Print the recipes."""
    named = options.name
    recipes = dict(RECIPES) if named is None else {named: RECIPES.get(named) or recipe_of(named)}
    if options.json:
        text = json.dumps({name: recipe.to_json() for name, recipe in recipes.items()})
        screen.results().print_json(text)
        return 0
    columns = list(recipes.values())
    table = Table("setting", *(recipe.name for recipe in columns), title_justify="left")
    for setting in asdict(columns[0]):
        if setting != "name":
            table.add_row(setting, *(_shown(getattr(recipe, setting)) for recipe in columns))
    table.add_row("hash", *(recipe.hash for recipe in columns))
    always = Table("in every recipe", "", box=None, pad_edge=False)
    for name, feature in FEATURES.items():
        always.add_row(name, feature.about)
    console = screen.results()
    console.print(table, always, sep="\n")
    return 0


def recipe_of(out: str) -> Recipe:
    """Return the recipe of a store; `UsageError` where there is none."""
    from pipelines.store.feature_store import FeatureStore  # with Beam

    identity = FeatureStore(out).identity()
    if identity is None:
        meant = suggestion(out, RECIPES)
        raise UsageError(
            f"{printable(out, 200)} holds no store.json, so it is no feature store, and no recipe "
            f"has that name{meant}"
        )
    return identity.recipe


def _shown(value: object) -> str:
    return "\n".join(value) if isinstance(value, tuple) else str(value)
