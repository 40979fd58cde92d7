"""Files of weights of the authors' classes fit our nets, by the names of their tensors."""

import pytest
import torch

from models import registry
from tests.models.nets.parsing.authors import golden

TEACHERS = ("audio_reference.", "visual_reference.", "hear.", "see.")
"""Nets of a golden file that the authors' files of weights do not hold."""


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("jomold", "jomold"), ("mm_pyramid", "mm_pyramid"), ("valor", "valor"),
        ("valor+", "valor_plus"), ("valor++", "valor_plus_plus"), ("uwav", "uwav"),
        ("coleaf", "coleaf"),
    ],
)  # fmt: skip
def test_authors_tensors_are_ours_or_listed_as_unused(name: str, file: str) -> None:
    model, experiment = registry.find(name)
    method = registry.load(model)
    with torch.device("meta"):
        released = method.card.released
        settings = {**experiment.settings, **released.settings}
        net = method.build(method.config.from_json(settings))
    ours = set(net.state_dict())
    theirs = {name for name in golden(file)["names"].tolist() if not name.startswith(TEACHERS)}
    unused = tuple(f"{module}." for module in method.card.released.unused)
    assert ours <= theirs
    over = theirs - ours
    assert all(f"{tensor}.".startswith(unused) for tensor in over)
    assert all(any(f"{tensor}.".startswith(module) for tensor in over) for module in unused)
