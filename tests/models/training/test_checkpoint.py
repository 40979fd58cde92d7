"""Saves and weights: what the trainer reads back, whatever was done to the files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.data.clips import open_clips
from models.nets.parsing.baselines import talnet
from models.training import checkpoint, loop
from models.training.state import Training, begin
from schemas import UsageError
from tests.stores.parsing import CLASSES

Facts = dict[str, Any]
Tensors = dict[str, Tensor]
CONFIG = talnet.Config(hidden=8, classes=len(CLASSES), epochs=3, batch_size=16)


def fresh(store: Path) -> Training:
    torch.manual_seed(1)
    clips = open_clips(store, talnet.CARD.needs)
    return begin(talnet.Model(CONFIG), talnet.Loss(CONFIG), clips, CONFIG, talnet.CARD.task)


@pytest.fixture(scope="module")
def saved(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A save of epoch 2 after step 1."""
    path = tmp_path_factory.mktemp("saved") / "resume.safetensors"

    def stop(training: Training) -> None:
        if (training.state.epoch, training.state.step) == (2, 1):
            checkpoint.save_training(path, training)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.fit(fresh(small_store), stop)
    return path


def spoiled(saved: Path, folder: Path, spoil: Callable[[Facts, Tensors], object]) -> Path:
    """Write the save again with facts and tensors changed."""
    with safe_open(saved, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
    tensors = load_file(saved)
    spoil(facts, tensors)
    path = folder / "resume.safetensors"
    save_file(tensors, path, metadata={"facts": json.dumps(facts)})
    return path


def test_save_that_nobody_touched_goes_on(saved: Path, small_store: Path, tmp_path: Path) -> None:
    path = spoiled(saved, tmp_path, lambda facts, tensors: None)
    training = fresh(small_store)
    checkpoint.load_training(path, training)
    assert (training.state.epoch, training.state.step, training.state.kept_epoch) == (2, 1, 1)
    loop.fit(training)
    assert len(training.state.history) == 3


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda facts, tensors: facts.pop("epoch"), "it lacks 'epoch'"),
        (lambda facts, tensors: facts.pop("config"), "it lacks 'config'"),
        (lambda facts, tensors: facts.pop("subset_id"), "it lacks 'subset_id'"),
        (lambda facts, tensors: tensors.pop("random"), "it lacks 'random'"),
        (lambda facts, tensors: tensors.update(random=torch.zeros(2, 3)), "RNG state must be"),
        (lambda facts, tensors: facts.update(epoch=99), "it stands in epoch 99, step 1, of 3"),
        (lambda facts, tensors: facts.update(epoch=-1), "it stands in epoch -1"),
        (lambda facts, tensors: facts.update(step="one"), "invalid literal"),
        (lambda facts, tensors: facts.update(step=10**9), "at step 1000000000 of the"),
        (lambda facts, tensors: facts.update(history=[]), "its history is not that of 1 epochs"),
        (lambda facts, tensors: facts.update(history=7), "is damaged"),
        (lambda facts, tensors: facts.update(kept_epoch=3), "its history is not that of"),
        (lambda facts, tensors: facts.update(sums={"total": "x"}), "its sums are no numbers"),
        (lambda facts, tensors: facts.update(config=None), "is damaged"),
        (
            lambda facts, tensors: tensors["model.classify.weight"].fill_(float("nan")),
            "model.classify.weight holds a value that is not finite",
        ),
        (
            lambda facts, tensors: tensors["kept.classify.bias"].fill_(float("inf")),
            "kept.classify.bias holds a value that is not finite",
        ),
        (lambda facts, tensors: tensors.pop("kept.classify.bias"), "kept weights are of another"),
        (lambda facts, tensors: tensors.pop("model.classify.bias"), "Missing key"),
        (
            lambda facts, tensors: tensors.update({"optimizer.0.exp_avg": torch.zeros(3)}),
            "its optimiser state 0 is of another net",
        ),
        (
            lambda facts, tensors: tensors.update({"optimizer.99.step": torch.zeros(())}),
            "is damaged",
        ),
        (
            lambda facts, tensors: tensors.update({"dropped.audio": torch.zeros(1, 1)}),
            "its dropped labels are of other clips",
        ),
    ],
)
def test_save_that_was_changed_is_refused_in_one_sentence(
    saved: Path, small_store: Path, tmp_path: Path,
    spoil: Callable[[Facts, Tensors], object], sentence: str,
) -> None:  # fmt: skip
    path = spoiled(saved, tmp_path, spoil)
    with pytest.raises(UsageError) as refused:
        checkpoint.load_training(path, fresh(small_store))
    said = str(refused.value)
    assert f"{path} is damaged (" in said
    assert sentence in said
    assert said.endswith("; leave --resume out")
    assert "\n" not in said


@pytest.mark.parametrize("name", ["resume", "checkpoint"])
def test_every_flipped_byte_is_noticed(
    saved: Path, small_store: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"{name}.safetensors"
    training = fresh(small_store)
    checkpoint.save_weights(path, training.model)
    content = saved.read_bytes() if name == "resume" else path.read_bytes()

    def read(path: Path) -> None:
        if name == "resume":
            checkpoint.load_training(path, training)
        else:
            checkpoint.load_weights(path, training.model)

    for place in torch.randint(len(content), (60,), generator=torch.Generator().manual_seed(0)):
        flipped = bytearray(content)
        flipped[int(place)] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(UsageError, match=r"is damaged|holds the weights of another model"):
            read(path)


def test_save_without_facts_is_refused(small_store: Path, tmp_path: Path) -> None:
    path = tmp_path / "resume.safetensors"
    save_file({"random": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match="it lacks 'facts'"):
        checkpoint.load_training(path, fresh(small_store))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    model = talnet.Model(CONFIG)
    path = tmp_path / "checkpoint.safetensors"
    with torch.no_grad():
        model.classify.bias[0] = float("nan")
    checkpoint.save_weights(path, model)
    with pytest.raises(UsageError, match=r"classify\.bias holds a value that is not finite"):
        checkpoint.load_weights(path, talnet.Model(CONFIG))


def test_buffers_of_version_1_are_read_by_their_new_names() -> None:
    old = {
        "norms.0.deviation": torch.ones(2),
        "deviation": torch.ones(1),
        "a.weight": torch.ones(1),
    }
    assert set(checkpoint.current_names(old)) == {"norms.0.std", "std", "a.weight"}
