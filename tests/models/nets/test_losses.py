"""Parts of losses that several models share."""

import torch
import torch.nn.functional as F

from models.nets.losses import clip_loss


def test_clip_loss_is_the_cross_entropy_of_what_is_cut_off_0_and_1() -> None:
    values = torch.tensor([[0.0, 0.2, 1.0 + 1e-7]], requires_grad=True)
    same = values.detach().clone().requires_grad_()
    labels = torch.tensor([[0.0, 1.0, 1.0]])
    clip_loss(values, labels).backward()
    F.binary_cross_entropy(same.clamp(1e-7, 1 - 1e-7), labels).backward()
    assert values.grad is not None
    assert same.grad is not None
    assert torch.equal(values.grad, same.grad)


def test_what_is_no_number_does_not_end_the_process() -> None:
    loss = clip_loss(torch.tensor([[float("nan"), 0.5]]), torch.ones(1, 2))
    assert torch.isclose(loss, torch.tensor(0.5).log().neg())
