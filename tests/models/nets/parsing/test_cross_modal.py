"""The cross-modal nets against numbers of the authors' code, and the adversary's workings."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.nets.parsing import cross_modal
from tests.models.batches import fill_by_formula, formula_batch, make_batch
from tests.places import GOLDENS

GOLDEN = np.load(GOLDENS / "cma_formula.npz")
CASES = {
    "net_audiovisual_basic": {"context": False, "skip": False},
    "net_audiovisual_adv_skip": {"context": False},
    "net_audiovisual_adv_skip_gcaa": {"context": False},  # the authors' file of that name has none
    "net_audiovisual_gcaa": {"skip": False, "faithful": True},
    "net_audiovisual_skip_gcaa": {"faithful": True},
    "net_audiovisual": {"faithful": True},
    "net_audiovisual_gcaa_indexfix": {"skip": False},
    "net_audiovisual_skip_gcaa_indexfix": {},
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_probabilities_are_those_of_the_authors_code(case: str) -> None:
    names = GOLDEN[f"{case.removesuffix('_indexfix')}/names"].tolist()
    model = cross_modal.Model(cross_modal.Config.from_json(CASES[case]))
    fill_by_formula(model, names)
    outputs = model.double().eval()(formula_batch(torch.zeros(3, 25)))
    assert outputs.audio is not None
    assert outputs.visual is not None
    found = {
        "global_prob": outputs.clip,
        "a_prob": outputs.clip_audio,
        "v_prob": outputs.clip_visual,
        "frame_prob": torch.stack([outputs.audio, outputs.visual], dim=2),
    }
    if f"{case}/mod_pred_unpermuted" in GOLDEN:
        found["mod_pred_unpermuted"] = outputs.extra["modality"]
    for name, ours in found.items():
        assert ours is not None
        wanted = GOLDEN[f"{case}/{name}"]
        np.testing.assert_allclose(ours.detach().numpy(), wanted, rtol=0, atol=1e-13, err_msg=name)


def small(**settings: bool) -> tuple[cross_modal.Model, cross_modal.Loss]:
    torch.manual_seed(0)
    plain = {"hidden": 32, "feedforward": 32, "classes": 5, "dropout": 0.0}
    config = cross_modal.Config.from_json({**plain, **settings})
    return cross_modal.Model(config), cross_modal.Loss(config)


def gradients(term: str, **settings: bool) -> dict[str, Tensor]:
    model, loss = small(**settings)
    batch = make_batch(classes=5)
    torch.autograd.backward(loss(model.train()(batch), batch)[term])
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


def test_reversal_turns_the_gradient_of_the_net_and_not_of_the_discriminator() -> None:
    values = torch.randn(6, 3, requires_grad=True)
    torch.autograd.backward(cross_modal.reverse_gradient(values, 0.3).sum())
    torch.testing.assert_close(values.grad, torch.full((6, 3), -0.3))
    features = torch.rand(40, 32, requires_grad=True)
    told = cross_modal.ModalityDiscriminator(32)
    late = told(features, progress=1.0).sum()
    early = told(features, progress=0.0).sum()
    (strong,) = torch.autograd.grad(late, features)
    (none,) = torch.autograd.grad(early, features)
    assert strong.abs().max() > 0
    assert none.abs().max() == 0


def test_discriminator_term_reaches_both_modalities_and_its_own_weights() -> None:
    found = gradients("modality")
    for name in (
        "fc_a.weight",
        "fc_fusion.weight",
        "shared_fc.weight",
        "mod_classifier.fc1.weight",
    ):
        assert found[name].abs().max() > 0
    assert "fc_prob.weight" not in found


def test_faithful_attention_gives_every_second_the_first_seconds_answer() -> None:
    query, source = torch.rand(2, 10, 8), torch.rand(2, 10, 8)
    torch.manual_seed(0)
    fixed = cross_modal.GlobalContextAttention(8, 0.0, faithful=False)
    faithful = cross_modal.GlobalContextAttention(8, 0.0, faithful=True)
    faithful.load_state_dict(fixed.state_dict())
    torch.testing.assert_close(faithful(query, source), fixed(query, source)[:, :1])


def test_terms_are_weighted() -> None:
    model, loss = small()
    batch = make_batch(classes=5)
    terms = loss(model.eval()(batch), batch)
    assert set(terms) == {"video", "audio", "visual", "modality", "total"}
    parts = sum(value for name, value in terms.items() if name != "total")
    torch.testing.assert_close(terms["total"], parts)
    heavier = cross_modal.Loss(cross_modal.Config(guided_weight=0.6, adversarial_weight=0.8))
    again = heavier(model(batch), batch)
    torch.testing.assert_close(again["audio"], 2 * terms["audio"])
    torch.testing.assert_close(again["modality"], 2 * terms["modality"])
    assert "modality" not in small(adversarial=False)[0](batch).extra
