"""Numbers that the authors' classes gave: outputs, loss terms, gradients and weights after a step.

Made with the parameters and inputs of `tests.models.batches` in float64, without dropout. Gradients
and weights are kept as two numbers per tensor: the norm, and the sum over its products with the
formula's numbers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.config import TrainConfig
from models.contract.task import Modality
from models.tasks.parsing import Parsing
from models.training import loop
from models.training.state import Training, begin
from tests.models.batches import by_formula, fill_by_formula, formula_batch
from tests.places import GOLDENS

Numbers = Mapping[str, np.ndarray[Any, Any]]
BOTH: tuple[Modality, ...] = ("audio", "visual")


def assert_close(found: Any, wanted: Any, within: float = 1e-9) -> None:
    """Compare numbers of float64."""
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=within, atol=within / 100)


def golden(name: str) -> dict[str, np.ndarray[Any, Any]]:
    """The numbers of one class."""
    with np.load(GOLDENS / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


def scored_batch(numbers: Numbers) -> Batch:
    """The golden batch with its labels, and scores of every second for the weak labels."""
    batch = formula_batch(torch.from_numpy(numbers["labels"]))
    weak = batch.labels[:, None]
    scores = {
        name: by_formula(104 + place, torch.Size((3, 10, 25)), 0.5, 0.5) * weak
        for place, name in enumerate(BOTH)
    }
    return Batch(**{**vars(batch), "pseudo_labels": scores})


def summary(tensors: Mapping[str, Tensor], names: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Norm and formula sum of the tensors `names`, [n, 2]."""
    rows = []
    for name in names.tolist():
        value = tensors[name].detach().double()
        rows.append([value.norm(), (value * by_formula(7, value.shape, 1.0).double()).sum()])
    return np.array([[float(number) for number in row] for row in rows])


def check_step(
    numbers: Numbers, model: nn.Module, loss: nn.Module, config: TrainConfig, batch: Batch
) -> None:
    """Compare outputs, terms, gradients and the weights after one step with the authors'."""
    fill_by_formula(model, numbers["names"].tolist())
    training = begin(
        model.double().train(), loss.double(), None, config,  # type: ignore[arg-type]
        Parsing(modalities=BOTH),
    )  # fmt: skip
    for group in training.optimizer.param_groups:
        group["lr"] = config.learning_rate
    check_outputs(numbers, model(batch))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    _check_terms(numbers, training, batch)
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert sorted(gradients) == numbers["used"].tolist()
    assert_close(summary(gradients, numbers["used"]), numbers["grads"])
    after = dict(model.named_parameters())
    # Adam divides rounding by rounding where a gradient is zero but for it: biases of keys
    assert_close(summary(after, numbers["used"]), numbers["steps"], within=1e-7)
    assert any(not torch.equal(before[name], after[name]) for name in numbers["used"].tolist())


def check_outputs(numbers: Numbers, outputs: Outputs) -> None:
    """Compare the probabilities of clip and seconds with the authors'."""
    assert outputs.audio is not None
    assert outputs.visual is not None
    assert_close(outputs.clip.detach(), numbers["clip"])
    seconds = torch.stack([outputs.audio, outputs.visual], dim=2).detach()
    assert_close(seconds, numbers["frame"])


def _check_terms(numbers: Numbers, training: Training, batch: Batch) -> None:
    """Take a step and compare the loss terms, in the order in which the loss gives them."""
    loop._step(training, [batch], len(batch.labels), batch.progress)
    sums = training.state.sums
    terms = [float(value) / len(batch.labels) for name, value in sums.items() if name != "total"]
    assert_close(terms, numbers["terms"])
    total = float(sums["total"]) / len(batch.labels)
    assert_close(total, numbers["total"])
