"""Weights that authors released: read by the names of their classes, all else refused by name."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models import evaluate, registry
from models.contract.report import SplitReport
from models.data.clips import open_clips
from models.training.released import load_released, read_tensors
from schemas import UsageError
from tests.models.commands import refused, run_command

State = dict[str, Tensor]
NORMS = {
    f"hat_encoder.norm{n}.{part}": torch.ones(512) for n in (1, 2) for part in ("weight", "bias")
}
UNUSED: dict[str, State] = {
    "han": {**NORMS, "cmt_encoder.layers.0.linear1.weight": torch.ones(512, 512)},
    "wu_yang": {**NORMS, "t_att.w_qs": torch.ones(3), "fc2.bias": torch.ones(2)},
    "cross_modal": {"cma_layer.norm1.weight": torch.ones(512)},
}
"""Some of what the authors' classes build and never use."""


def state_of(model: str, **settings: Any) -> State:
    """Weights as the authors' class has them."""
    torch.manual_seed(4)
    return {**registry.build(model, classes=4, **settings).state_dict(), **UNUSED[model]}


def saved(folder: Path, content: Any) -> Path:
    path = folder / "MMIL_Net.pt"
    torch.save(content, path)
    return path


def score(model: str, weights: Path, store: Path, *options: object) -> dict[str, Any]:
    words = ("--model", model, "--weights", weights, "--features", store, *options)
    done = run_command(evaluate.main, *words)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(
        (weights.parent / f"{weights.stem}-evaluation-test.json").read_text()
    )
    return read


@pytest.mark.parametrize("model", ["han", "wu_yang", "cross_modal"])
def test_scores_are_those_of_the_net_with_these_weights(
    model: str, small_store: Path, tmp_path: Path
) -> None:
    state = state_of(model)
    method = registry.load(model)
    settings = method.config(classes=4, **method.card.released.settings)
    net = method.build(settings)
    net.load_state_dict({name: state[name] for name in net.state_dict()})
    clips = open_clips(small_store, method.card.needs)
    task = method.card.task
    predictions = task.predict(net, clips, clips.rows("test"), settings)
    wanted: SplitReport = task.evaluate(predictions, clips, "test", settings, None)
    scored = score(model, saved(tmp_path, state), small_store)
    assert scored["metrics"]["test"] == wanted.metrics


def test_wrappers_and_prefixes_of_programs_are_taken_off(tmp_path: Path) -> None:
    state = state_of("han")
    beside = {
        "model": state, "epochs": 3, "numpy_rng": np.random.RandomState(1).get_state(),
        "torch_rng": torch.get_rng_state(),
    }  # fmt: skip
    parallel = {f"module.{name}": value for name, value in state.items()}
    for content in (beside, {"state_dict": parallel}, parallel):
        read = read_tensors(saved(tmp_path, content))
        assert read.keys() == state.keys()
        assert all(torch.equal(read[name], value) for name, value in state.items())


def test_safetensors_of_the_trainer_keep_the_experiments_settings(
    small_store: Path, tmp_path: Path
) -> None:
    state = state_of("cross_modal")
    theirs, ours = tmp_path / "theirs.safetensors", tmp_path / "ours.safetensors"
    save_file(state, theirs)
    save_file(state, ours, metadata={"sha256": "0"})
    said = [score("cross_modal", path, small_store)["caveats"] for path in (theirs, ours)]
    assert [any("faithful" in reason for reason in reasons) for reasons in said] == [True, False]


def lacking(state: State) -> Any:
    del state["fc_prob.bias"]
    return state


def in_excess(state: State) -> Any:
    return {**state, "fc_more.weight": torch.ones(2)}


def of_other_classes(state: State) -> Any:
    return {**state, **{name: torch.ones(25, *value.shape[1:]) for name, value in state.items()
                        if len(value) == 4}}  # fmt: skip


def of_other_size(state: State) -> Any:
    return {**state, "fc_a.weight": torch.ones(512, 64)}


def with_nan(state: State) -> Any:
    return {**state, "fc_a.bias": torch.full((512,), torch.nan)}


class Whole:
    """What stands for a pickled net."""


BAD: list[tuple[Callable[[State], Any], str]] = [
    (lacking, "holds the weights of another model than han: they lack fc_prob.bias; no model"),
    (in_excess, "they have in excess fc_more.weight"),
    (of_other_classes, r"is for 25 classes \(fc_prob.weight is \(25, 512\)\) and the clips have 4"),
    (of_other_size, r"has fc_a.weight \(512, 64\), han needs \(512, 128\)"),
    (with_nan, "is damaged: fc_a.bias holds a value that is not finite; fetch it again"),
    (
        lambda state: Whole(),
        r"holds pickled objects, not tensors alone \(.*Whole\); save the state",
    ),
    (lambda state: {**state, "epoch": 3}, "holds a int as 'epoch' where a tensor is wanted"),
    (lambda state: [1, 2], "holds a list where tensors by name are wanted"),
    (lambda state: {}, "holds nothing where tensors by name are wanted"),
]


@pytest.mark.parametrize(("spoil", "sentence"), BAD)
def test_what_does_not_fit_is_named_in_one_sentence(
    spoil: Callable[[State], Any], sentence: str, small_store: Path, tmp_path: Path
) -> None:
    path = saved(tmp_path, spoil(state_of("han")))
    words = ("--model", "han", "--weights", path, "--features", small_store)
    assert re.search(sentence, refused(evaluate.main, *words))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_weights_of_another_model_say_whose_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path, state_of("cross_modal", context=False))
    method = registry.load("han")
    with pytest.raises(UsageError, match="they fit --model cross_modal-base, cross_modal-adv-skip"):
        load_released(path, method.card, method.build(method.config(classes=4)), 4)


def test_files_that_are_no_weights_are_one_sentence(small_store: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.pt"
    torch.save(state_of("han"), torn)
    torn.write_bytes(torn.read_bytes()[:5000])
    text, plain = tmp_path / "text.pth", tmp_path / "bad.safetensors"
    text.write_text("no weights at all")
    plain.write_bytes(b"\xff" * 40)
    evil = tmp_path / "evil.pth"
    evil.write_bytes(pickle.dumps({"x": print}, 2))
    (tmp_path / "weights.bin").touch()
    for name, said in (
        ("torn.pt", "is no readable file of torch.save"), ("text.pth", "text.pth is no readable"),
        ("bad.safetensors", "is no readable safetensors"), ("evil.pth", "evil.pth holds pickled"),
        ("none.pt", "is not a file"), ("weights.bin", "they end in .pt, .pth, .safetensors"),
    ):  # fmt: skip
        words = ("--model", "han", "--weights", tmp_path / name, "--features", small_store)
        assert said in refused(evaluate.main, *words)


def test_words_that_do_not_go_together_are_refused(small_store: Path, tmp_path: Path) -> None:
    path = saved(tmp_path, state_of("han"))
    for words, said in (
        (("--weights", path, "--features", small_store), "say which model"),
        (("--model", "hun", "--weights", path), "did you mean 'han'"),
        (("--model", "han", "--weights", path), "say on which store to score"),
        (("--model", "han"), "say which run to score"),
        (("--run", tmp_path, "--model", "han"), "--model goes with --weights"),
        (("--model", "fusion", "--weights", path, "--features", small_store), "other runs say"),
    ):
        assert said in refused(evaluate.main, *words)
