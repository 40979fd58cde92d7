"""`beam recipes`: all, one by its name, one of a store, and what is neither."""

import json

import pytest

from pipelines.cli import main
from schemas import RECIPES


def test_one_recipe_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "llp-eccv20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["llp-eccv20"]["name"] == "llp-eccv20"
    assert main(["recipes", "llp-eccv20"]) == 0
    said = capsys.readouterr().out
    assert RECIPES["llp-eccv20"].hash in said
    assert RECIPES["quick"].hash not in said


def test_all_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    said = capsys.readouterr().out
    assert all(recipe.hash in said for recipe in RECIPES.values())


def test_mistyped_name_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "llp-eccv2"]) == 2
    said = capsys.readouterr().err
    assert "did you mean 'llp-eccv20'" in said
    assert said.count("\n") == 1
