"""MM-Pyramid against the authors' code."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from models.nets.parsing import mm_pyramid
from tests.models.batches import make_batch
from tests.models.nets.parsing.authors import check_step, golden, scored_batch


def with_shared_layers(numbers: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """The authors' blocks name their layers twice; the second name is loaded last, so it counts."""
    names = numbers["names"].tolist()
    for own, shared in ((".conv1.", ".net.0."), (".conv2.", ".net.2.")):
        names = [name.replace(own, ".before.").replace(shared, own) for name in names]
    return {**numbers, "names": np.array(names)}


def test_outputs_loss_gradients_and_step_are_those_of_the_authors_code() -> None:
    config = mm_pyramid.Config(dropout=0.0, attention_dropout=0.0)
    numbers = with_shared_layers(golden("mm_pyramid"))
    net, loss = mm_pyramid.Model(config), mm_pyramid.Loss(config)
    check_step(numbers, net, loss, config, scored_batch(numbers))


def test_streams_are_swapped_as_in_the_authors_program_unless_told_otherwise() -> None:
    batch = make_batch(clips=2, classes=5)
    config = mm_pyramid.Config(hidden=16, feedforward=16, heads=2, levels=2, classes=5)
    released = mm_pyramid.Model(config).eval()
    right = mm_pyramid.Model(replace(config, swap_streams=False)).eval()
    right.load_state_dict(released.state_dict())
    swapped, own = released(batch), right(batch)
    torch.testing.assert_close(swapped.audio, own.visual)
    torch.testing.assert_close(swapped.visual, own.audio)
    torch.testing.assert_close(swapped.clip, own.clip)
