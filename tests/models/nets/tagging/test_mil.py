"""The equations of multiple instance learning, each against golden numbers and by what it means."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.nets.tagging import mil
from tests.places import GOLDENS

GOLDEN = np.load(GOLDENS / "pooling.npz")
BOXES, SOUND = torch.ones(1, 30, dtype=torch.bool), torch.ones(1, 19, dtype=torch.bool)


def golden(name: str) -> Tensor:
    values = torch.from_numpy(GOLDEN[name])
    return values[None] if name.endswith(("_cls", "_loc")) else values


def close(found: Tensor, name: str) -> None:
    np.testing.assert_allclose(found.numpy(), GOLDEN[name], atol=1e-6, rtol=0)


def streams(kind: str) -> tuple[Tensor, Tensor]:
    return golden(f"two_stream/{kind}_cls"), golden(f"two_stream/{kind}_loc")


def test_two_streams_and_their_normalised_sum() -> None:
    boxes = mil.two_stream(*streams("vis"), BOXES)
    sound = mil.two_stream(*streams("aud"), SOUND)
    close(boxes[0], "two_stream/vis_D")
    close(boxes.sum(dim=1)[0], "two_stream/phi_v")
    close(sound.sum(dim=1)[0], "two_stream/phi_a")
    both = mil.l2_normalised(boxes.sum(dim=1)) + mil.l2_normalised(sound.sum(dim=1))
    close(both[0], "two_stream/phi_av_l2")
    labels = golden("two_stream/label")[None]
    close(mil.hinge(both, labels), "two_stream/hinge")


def test_wsddn_takes_the_softmax_over_classes_too() -> None:
    scores = mil.wsddn(*streams("vis"), BOXES)
    close(scores[0], "wsddn/combined")
    close(scores.sum(dim=1)[0], "wsddn/image")


def test_spatial_regulariser_worked_out_by_hand() -> None:
    """Best of class 0 is box 0; box 1 overlaps it by 0.8; 2 is in another frame, 3 apart, 4 absent.

    Box 1 has hidden values (1, 2) from the best one and the score 0.25: 0.25 * (1 + 4) / 2.
    """
    box, near, far = [0, 0, 0, 1, 1, 0.5], [0, 0, 0, 1, 0.8, 0.5], [0, 0, 0, 0.5, 1, 0.5]
    boxes = torch.tensor([[box, near, [1, 0, 0, 1, 0.8, 0.5], far, near]])
    hidden = torch.zeros(1, 5, 2, requires_grad=True)
    values = torch.tensor([[[0.0, 0.0], [1.0, 2.0], [5.0, 5.0], [7.0, 7.0], [9.0, 9.0]]])
    scores = torch.tensor([[[0.5, 0], [0.25, 0], [0.2, 0], [0.1, 0], [0.9, 0]]])
    present = torch.tensor([[True, True, True, True, False]])
    labels = torch.tensor([[1.0, 0.0]])
    found = mil.spatial_regulariser(hidden + values, boxes, scores, labels, present)
    assert found.item() == pytest.approx(0.25 * 5 / 2)
    torch.autograd.backward(found)
    assert hidden.grad is not None
    assert hidden.grad[0, :2].tolist() == [[-0.25, -0.5], [0.25, 0.5]]
    assert not hidden.grad[0, 2:].any()
    none = mil.spatial_regulariser(values, boxes, scores, torch.zeros(1, 2), present)
    assert none.item() == 0.0


def test_one_stream_is_a_soft_maximum() -> None:
    scores = golden("two_stream/vis_cls")
    close(mil.log_sum_exp(scores, BOXES)[0], "one_stream/lse_mean_r1")
    torch.testing.assert_close(
        mil.log_sum_exp(scores, BOXES, 1e4), scores.amax(dim=1), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(
        mil.log_sum_exp(scores, BOXES, 1e-6), scores.mean(dim=1), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("rule", ["ave", "lin", "exp", "att"])
def test_poolings_over_time_are_cases_of_two_streams(rule: str) -> None:
    second = torch.from_numpy(GOLDEN["frame_prob"])
    present = torch.ones(second.shape[:2], dtype=torch.bool)
    locate = {
        "ave": torch.zeros_like(second),
        "lin": second.log(),
        "exp": second,
        "att": torch.from_numpy(GOLDEN["att_logits"]),
    }[rule]
    close(mil.two_stream(second, locate, present).sum(dim=1), rule)


@pytest.mark.parametrize("rule", [mil.two_stream, mil.wsddn])
def test_padding_counts_nothing_and_an_empty_bag_scores_zero(rule: object) -> None:
    assert callable(rule)
    classify, locate = torch.randn(2, 7, 3), torch.randn(2, 7, 3)
    present = torch.zeros(2, 7, dtype=torch.bool)
    present[0, :4] = True
    padded = rule(classify, locate, present)
    alone = rule(classify[:1, :4], locate[:1, :4], present[:1, :4])
    torch.testing.assert_close(padded[:1, :4], alone)
    assert not padded[0, 4:].any()
    assert not padded[1].any()
    pooled = mil.log_sum_exp(classify, present)
    torch.testing.assert_close(pooled[:1], mil.log_sum_exp(classify[:1, :4], present[:1, :4]))
    assert not pooled[1].any()
    assert torch.isfinite(mil.l2_normalised(padded.sum(dim=1))).all()


def test_order_of_the_instances_does_not_matter() -> None:
    classify, locate = torch.randn(1, 7, 3), torch.randn(1, 7, 3)
    present = torch.ones(1, 7, dtype=torch.bool)
    order = torch.randperm(7)
    for rule in (mil.two_stream, mil.wsddn):
        torch.testing.assert_close(
            rule(classify[:, order], locate[:, order], present),
            rule(classify, locate, present)[:, order],
        )


def test_hinge_is_zero_beyond_the_margin_only() -> None:
    labels = torch.tensor([[1.0, 0.0]])
    assert mil.hinge(torch.tensor([[1.0, -1.0]]), labels) == 0
    assert mil.hinge(torch.tensor([[0.5, -1.0]]), labels) == pytest.approx(0.25)
    assert mil.hinge(torch.tensor([[-1.0, 1.0]]), labels) == pytest.approx(2.0)


def test_over_time_the_best_instance_has_the_whole_probability_and_the_worst_none() -> None:
    scores = torch.tensor([[[-1.0, 2.0], [3.0, 2.0], [1.0, 2.0], [9.0, 9.0]]])
    present = torch.tensor([[True, True, True, False]])
    found = mil.over_time(torch.tensor([[0.8, 0.4]]), scores, present)
    wanted = torch.tensor([[[0.0, 0.4], [0.8, 0.4], [0.4, 0.4], [0.0, 0.0]]])
    torch.testing.assert_close(found, wanted)
    assert not mil.over_time(torch.ones(1, 2), scores, torch.zeros(1, 4, dtype=torch.bool)).any()
