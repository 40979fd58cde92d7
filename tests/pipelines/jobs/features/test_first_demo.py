"""The options with which `make features` makes the first demo, and what follows from them."""

import subprocess
from pathlib import Path

import pytest

from models import registry
from pipelines.jobs.features.command import Options
from pipelines.jobs.features.launch import make_recipe
from pipelines.store.feature_store import FeatureStore
from schemas import RECIPES, UsageError
from schemas.settings.command_line import parse_known_options
from tests.places import ROOT


def command(*variables: str) -> list[str]:
    """The words of `make features` after `beam run features`."""
    return [word.strip('"') for word in said(*variables).split()[3:]]


def said(*variables: str) -> str:
    quiet = ("-n", "--no-print-directory", "-o", ".venv/runtime.done")
    words = ["make", *quiet, "features", *variables]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.replace("\\\n", " ")


def read(*variables: str) -> Options:
    options, rest = parse_known_options(Options, command(*variables), "beam run features")
    assert not rest
    return options


def test_the_first_demo_has_what_han_reads_and_nothing_else() -> None:
    options = read()
    assert options.dataset == "demo"
    assert set(options.extractors.split(",")) == set(registry.load("han").card.needs)
    store = FeatureStore("out/none")
    assert make_recipe(options, store).frames_per_second == RECIPES["quick"].frames_per_second == 1


def test_options_of_the_user_win() -> None:
    options = read("ARGS=--clips 4 --extractors logmel --recipe llp-eccv20")
    assert (options.clips, options.extractors, options.recipe) == (4, "logmel", "llp-eccv20")
    assert options.difficulty == read().difficulty != Options.difficulty


def test_other_data_sets_have_every_extractor_of_the_papers_recipe() -> None:
    options = read("DATASET=llp", "MEDIA=clips")
    assert (options.extractors, options.recipe) == (Options.extractors, Options.recipe)


def test_more_extractors_for_a_store_that_is_begun_are_refused_with_the_way(tmp_path: Path) -> None:
    """The commands of two_stream and fayek_audio on the folder of the first demo."""
    store = FeatureStore(str(tmp_path))
    store.open("demo", make_recipe(read(), store))
    more = read("ARGS=--extractors vggish,resnet152,r2plus1d,logmel,segments,proposals")
    with pytest.raises(UsageError) as refused:
        store.open("demo", make_recipe(more, store))
    said = str(refused.value)
    assert "begun with the extractors vggish,resnet152,r2plus1d and keeps to them" in said
    assert "run the same command with another --out" in said
    other = read("ARGS=--precision fp32 --recipe clean")
    with pytest.raises(UsageError, match=r"frames_per_second 1 \(now 8\)"):
        store.open("demo", make_recipe(other, store))
