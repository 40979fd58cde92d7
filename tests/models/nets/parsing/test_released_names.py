"""Files of weights of the authors' classes fit our nets, by the names of their tensors."""

import pytest
import torch

from models import registry
from tests.models.nets.parsing.authors import golden


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("jomold", "jomold"), ("mm_pyramid", "mm_pyramid"), ("valor", "valor"),
        ("valor+", "valor_plus"), ("uwav", "uwav"),
    ],
)  # fmt: skip
def test_authors_tensors_are_ours_or_listed_as_unused(name: str, file: str) -> None:
    model, experiment = registry.find(name)
    method = registry.load(model)
    with torch.device("meta"):
        net = method.build(method.config.from_json(experiment.settings))
    ours, theirs = set(net.state_dict()), set(golden(file)["names"].tolist())
    unused = tuple(f"{module}." for module in method.card.released.unused)
    assert ours <= theirs
    over = theirs - ours
    assert all(tensor.startswith(unused) for tensor in over)
    assert all(any(tensor.startswith(module) for tensor in over) for module in unused)
