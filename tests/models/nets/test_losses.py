"""Parts of losses that several models share."""

import torch
import torch.nn.functional as F

from models.nets.losses import clip_loss


def test_clip_loss_is_the_cross_entropy_of_what_is_cut_off_0_and_1() -> None:
    values = torch.tensor([[0.0, 0.2, 1.0 + 1e-7]], requires_grad=True)
    labels = torch.tensor([[0.0, 1.0, 1.0]])
    plain = F.binary_cross_entropy(values.clamp(1e-7, 1 - 1e-7), labels)
    ours = clip_loss(values, labels)
    assert torch.equal(ours, plain)
    assert torch.equal(*torch.autograd.grad(ours, values), *torch.autograd.grad(plain, values))


def test_what_is_no_number_does_not_end_the_process() -> None:
    loss = clip_loss(torch.tensor([[float("nan"), 0.5]]), torch.ones(1, 2))
    assert torch.isclose(loss, torch.tensor(0.5).log().neg())
