"""The gated GRUs of CVSSP: equal to Keras's own layers."""

import numpy as np
import torch

from models.nets.tagging.gated_recurrence import GatedRecurrence
from tests.places import GOLDENS


def test_states_are_those_of_kerass_layers() -> None:
    """Golden of Keras 3.15, two `Bidirectional(GRU(3, reset_after=False))` with a hard sigmoid."""
    golden = np.load(GOLDENS / "keras_gru.npz")
    net = GatedRecurrence(golden["steps"].shape[2], golden["recurrent"].shape[1])
    with torch.no_grad():
        for name in ("kernel", "recurrent", "bias"):
            getattr(net, name).copy_(torch.from_numpy(golden[name]))
        product = net(torch.from_numpy(golden["steps"]))
    np.testing.assert_allclose(product.numpy(), golden["product"], atol=1e-6)


def test_start_has_no_bias_and_turns_states_without_shrinking_them() -> None:
    net = GatedRecurrence(5, 3)
    assert not net.bias.any()
    for own in net.recurrent:
        torch.testing.assert_close(own @ own.T, torch.eye(3))
