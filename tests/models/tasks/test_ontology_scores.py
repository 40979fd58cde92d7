"""Scores that know the ontology, and labels that count by their quality, on files of its form."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models import evaluate, train
from models.metrics import average_precision, tagging_scores
from models.nets.losses import clip_loss
from models.nets.tagging.mil import hinge
from models.tasks.ontology_scores import omap_by_level, ontology_scores, weighted_precision
from schemas.manifests.ontology import Ontology
from tests.models.commands import refused, run_command
from tests.stores.sound_classes import write_class_files
from tests.stores.tagging import CLASSES, write_tagging_store

CHILDREN = {
    "Thing": ("Engine", "Bell"), "Nature": ("Dog", "Weather"), "Weather": ("Rain", "Wind"),
    "Human": ("Speech",), **dict.fromkeys(CLASSES, ()),
}  # fmt: skip
RATED = {"Bell": "10,10", "Dog": "10,2", "Engine": "10,5", "Rain": "0,0", "Speech": "10,9"}
ONTOLOGY = Ontology(CHILDREN)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_files(tmp_path_factory.mktemp("classes"), CHILDREN, CLASSES, RATED)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ontology") / "store"
    return write_tagging_store(folder, features=("r2plus1d",), seconds=1)


def made(seed: int = 0, clips: int = 60) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    labels = random.random((clips, len(CLASSES))) < 0.25
    labels[np.arange(clips), np.arange(clips) % len(CLASSES)] = True
    return (random.random(labels.shape) + 0.4 * labels).astype(np.float32), labels


def test_at_the_first_level_of_a_flat_ontology_omap_is_map() -> None:
    scores, labels = made()
    flat = np.where(np.eye(len(CLASSES), dtype=bool), 0, 2)
    levels = omap_by_level(scores, labels, flat)
    assert levels[0] == pytest.approx(tagging_scores(scores, labels)["map"])
    assert levels[1] == pytest.approx(levels[0])
    assert levels[2] == 1.0 > levels[1]


def test_confusions_with_neighbours_cost_less() -> None:
    labels = np.eye(3, dtype=bool)[[0, 0, 1, 1, 2, 2]]
    distances = np.array([[0, 1, 6], [1, 0, 6], [6, 6, 0]])
    near, far = labels + 0.0, labels + 0.0
    near[:, 0], far[:, 0] = [3, 1, 2, 0, 0, 0], [3, 1, 0, 0, 2, 0]
    one, other = (omap_by_level(scores, labels, distances) for scores in (near, far))
    assert average_precision(near, labels)[0] == average_precision(far, labels)[0]
    assert one[0] > other[0]
    assert one[1] == 1.0 > other[1]
    assert (len(one), one[-1], other[-1]) == (7, 1.0, 1.0)
    whole = 6 / (26 / 6)  # distance of the false positive over the mean of 1, 6, 1, 6, 6, 6
    beyond = 6 / (24 / 6)  # at level 1 the pairs at distance 1 count nothing
    wanted = [(2 + (1 + 2 / (2 + weight)) / 2) / 3 for weight in (whole, beyond)]
    assert other[:2] == pytest.approx(wanted, abs=1e-12)


def test_weight_of_a_false_positive_is_counted_as_so_many_clips() -> None:
    scores, labels = made(1)
    order = np.argsort(-scores[:, 0], kind="stable")
    ones = np.ones(len(labels))
    found = weighted_precision(scores[order, 0], labels[order, 0], ones)
    assert found == pytest.approx(average_precision(scores, labels)[0])


def test_ancestors_take_labels_and_scores_of_their_kinds() -> None:
    ontology = Ontology({"Animal": ("Dog", "Cat"), "Dog": (), "Cat": ()})
    labels = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], bool)
    scores = np.array([[0.0, 0.9, 0.1], [0.0, 0.2, 0.8], [0.3, 0.1, 0.1]])
    values, lists = ontology_scores(scores, labels, ontology, ("Animal", "Dog", "Cat"))
    assert values["map_ancestors"] == 1.0
    assert lists["map_by_depth"] == [None, 1.0]  # no clip has the label Animal itself
    scores[2, 0] = 1.0
    values, _ = ontology_scores(scores, labels, ontology, ("Animal", "Dog", "Cat"))
    assert values["map_ancestors"] == pytest.approx((1 + 1 + (1 / 2 + 2 / 3) / 2) / 3)


def test_a_label_counts_in_the_loss_by_its_quality() -> None:
    chance, target = torch.rand(5, 3), (torch.rand(5, 3) > 0.5).float()
    quality = torch.tensor([1.0, 0.25, 0.0])
    loss = -(
        target * quality * chance.log() + (1 - target) * (1 - chance).log()
    ).mean()  # fmt: skip
    torch.testing.assert_close(clip_loss(chance, target, quality=quality), loss)
    whole = clip_loss(chance, target, quality=torch.ones(3))
    assert torch.equal(whole, clip_loss(chance, target))
    assert hinge(torch.tensor([[-1.0, 1.0]]), torch.tensor([[1.0, 0.0]]), quality[1:]) == (
        pytest.approx((0.25 * 2 + 2) / 2)
    )


def test_training_and_scoring_with_both_files(
    store: Path, files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = ("r2plus1d_101-probe", "--features", store, "--epochs", 3, "--learning-rate", 0.01)
    both = ("--ontology", files / "ontology.json", "--label-quality", files / "qa_true_counts.csv")
    done = run_command(train.main, *given, *both, "--run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "2 of 6 classes have no rated label (Rain, Wind)" in caplog.text
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    scores = found["metrics"]["test"]
    assert scores["map"] > 0.2
    assert scores["map_ancestors"] == pytest.approx(scores["map"])  # no class is a kind of another
    assert len(found["ontology"]["test"]["omap_by_level"]) == 5  # no way is longer than 4
    assert len(found["ontology"]["test"]["map_by_depth"]) == 3
    assert any("label_quality" in one and "ours" in one for one in found["caveats"])
    assert not any("ontology" in one for one in found["caveats"])
    plain = run_command(train.main, *given, "--run", tmp_path / "plain")
    assert plain.returncode == 0
    without = json.loads((tmp_path / "plain" / "results.json").read_text())
    assert "omap" not in without["metrics"]["test"]
    assert without["history"][0]["total"] > found["history"][0]["total"]
    again = ("--run", tmp_path / "plain", "--ontology", files / "ontology.json")
    assert run_command(evaluate.main, *again).returncode == 0
    scored = json.loads((tmp_path / "plain" / "evaluation-test.json").read_text())
    assert 0.0 < scored["metrics"]["test"]["omap"] <= 1.0


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("ontology", "cannot be read: No such file"),
        ("label-quality", "does not exist; wanted there: class_labels_indices.csv"),
    ],
)
def test_missing_files_are_named_before_the_training(
    store: Path, tmp_path: Path, setting: str, says: str
) -> None:
    given = ("r2plus1d_101-probe", "--features", store, "--run", tmp_path / "run")
    assert says in refused(train.main, *given, f"--{setting}", tmp_path / "none" / "file")
    assert not (tmp_path / "run").exists()
