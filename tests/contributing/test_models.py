"""CONTRIBUTING, "Adding a model": one file and one line, and every command takes the net."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from models import evaluate, predict, registry, train
from tests.models import test_registry as of_every_net
from tests.models.commands import run_command
from tests.pipelines.conftest import make_clip
from tests.stores.parsing import ParsingRows
from tests.stores.tagging import write_tagging_store

TOYS = ("toy_parser", "toy_tagger")


@pytest.fixture(autouse=True)
def one_line_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the toys, as their lines in `MODELS` would."""
    for name in TOYS:
        monkeypatch.setitem(registry.MODELS, name, f"tests.contributing.{name}")


def run(*words: object) -> str:
    """Run a command of the models and return what it prints."""
    command, *arguments = words
    done = run_command(command, *arguments)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done.stdout


def metrics(path: Path) -> dict[str, Any]:
    """Return the scores of split `test` in a file of results."""
    found: dict[str, Any] = json.loads(path.read_text())["metrics"]["test"]
    return found


@pytest.mark.parametrize("name", TOYS)
def test_registry_builds_and_lists_it(name: str) -> None:
    assert sum(weight.numel() for weight in registry.build(name, classes=3).parameters()) > 0
    assert name in registry.experiments()
    of_every_net.test_card_is_complete(name)
    assert name in run(train.main, "--list")


def test_parser_is_held_to_what_every_parser_keeps() -> None:
    of_every_net.test_forward_gives_probabilities_of_the_right_shape("toy_parser")
    of_every_net.test_clips_do_not_mix_at_evaluation("toy_parser")
    of_every_net.test_loss_falls_and_every_parameter_learns("toy_parser")


def test_parser_is_trained_scored_again_and_used_on_new_media(tmp_path: Path) -> None:
    store, folder = ParsingRows().write(tmp_path / "store"), tmp_path / "run"
    options = ("--epochs", 20, "--learning-rate", 0.01)
    run(train.main, "toy_parser", "--features", store, "--run", folder, *options)
    scores = metrics(folder / "results.json")
    assert scores["segment_audio"] > 30
    run(evaluate.main, "--run", folder)
    assert metrics(folder / "evaluation-test.json") == pytest.approx(scores)
    film = make_clip(tmp_path / "film.mp4", 1.0)
    run(predict.main, film, "--run", folder, "--out", tmp_path / "events")
    with (tmp_path / "events" / "events.csv").open(newline="") as file:
        assert {row["modality"] for row in csv.DictReader(file)} <= {"audio"}


def test_tagger_is_trained_and_scored_again(tmp_path: Path) -> None:
    store = write_tagging_store(tmp_path / "store", features=("r2plus1d",))
    folder = tmp_path / "run"
    options = ("--epochs", 20, "--learning-rate", 0.01)
    run(train.main, "toy_tagger", "--features", store, "--run", folder, *options)
    scores = metrics(folder / "results.json")
    assert scores["map"] > 0.6
    run(evaluate.main, "--run", folder)
    assert metrics(folder / "evaluation-test.json") == pytest.approx(scores)
