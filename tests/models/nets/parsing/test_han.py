"""HAN against numbers of the authors' code, and what its ablations switch."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.contract.batch import Batch, Outputs
from models.data.clips import ClipData, open_clips
from models.nets.parsing import han
from models.registry import build
from tests.models.batches import fill_by_formula, formula_batch, make_batch
from tests.places import GOLDENS

GOLDEN = np.load(GOLDENS / "han_formula.npz")
NAMES = GOLDEN["names"].tolist()


def official(dtype: torch.dtype) -> tuple[han.Model, Batch]:
    model = han.Model(han.Config(dropout=0.0))
    assert sorted(model.state_dict()) == NAMES
    fill_by_formula(model, NAMES)
    return model.to(dtype).eval(), formula_batch(torch.from_numpy(GOLDEN["label"]), dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_probabilities_are_those_of_the_authors_code(dtype: torch.dtype, tolerance: float) -> None:
    model, batch = official(dtype)
    outputs = model(batch)
    seconds = torch.stack([outputs.audio, outputs.visual], dim=2)
    for name, ours in (
        ("global_prob", outputs.clip),
        ("a_prob", outputs.clip_audio),
        ("v_prob", outputs.clip_visual),
        ("frame_prob", seconds),
    ):
        np.testing.assert_allclose(
            ours.detach().numpy(), GOLDEN[name], rtol=0, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float32, 6e-5)])
def test_loss_and_gradients_are_those_of_the_authors_code(
    dtype: torch.dtype, tolerance: float
) -> None:
    """The authors' gradients are in float32; ours in float64 are the nearer to them."""
    model, batch = official(dtype)
    terms = han.Loss(han.Config())(model.train()(batch), batch)
    ours = [terms[name].item() for name in ("audio", "visual", "video")]
    np.testing.assert_allclose(ours, GOLDEN["loss"], rtol=0, atol=1e-6)
    assert terms["total"].item() == pytest.approx(float(GOLDEN["loss_total"]), abs=1e-6)
    torch.autograd.backward(terms["total"])
    for name, weight in model.named_parameters():
        assert weight.grad is not None
        wanted = float(GOLDEN[f"gradnorm/{name}"])
        assert weight.grad.norm().item() == pytest.approx(wanted, abs=tolerance), name


def test_parameters_are_those_that_the_forward_pass_uses() -> None:
    assert sum(weight.numel() for weight in build("han").parameters()) == 4_569_675


def test_projecting_frames_then_averaging_is_projecting_the_average() -> None:
    model, batch = official(torch.float64)
    frames = batch.features["resnet152"]  # [3, 10, 8, 2048]
    as_published = F.linear(frames.reshape(3, 80, 2048), model.fc_v.weight, model.fc_v.bias)
    as_published = as_published.reshape(3, 10, 8, -1).mean(dim=2)
    ours = model.fc_v(frames.mean(dim=2))
    torch.testing.assert_close(ours, as_published, rtol=0, atol=1e-12)
    pooled = replace(batch, features={**batch.features, "resnet152": frames.mean(dim=2)})
    torch.testing.assert_close(model(pooled).clip, model(batch).clip, rtol=0, atol=1e-12)


def outputs_of(**settings: object) -> tuple[Outputs, Batch, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    config = han.Config.from_json({"hidden": 32, "classes": 5, "dropout": 0.0, **settings})
    batch = make_batch(clips=4, classes=5)
    outputs = han.Model(config)(batch)
    return outputs, batch, han.Loss(config)(outputs, batch)


def test_max_and_mean_pooling_are_over_seconds_and_modalities() -> None:
    outputs, _, _ = outputs_of(pooling="max")
    assert outputs.audio is not None
    assert outputs.visual is not None
    torch.testing.assert_close(
        outputs.clip, torch.maximum(outputs.audio.amax(1), outputs.visual.amax(1))
    )
    outputs, _, _ = outputs_of(pooling="mean")
    assert outputs.audio is not None
    torch.testing.assert_close(outputs.clip_audio, outputs.audio.mean(1))


def test_terms_of_the_loss_ablation() -> None:
    assert set(outputs_of(terms="wsl")[2]) == {"video", "total"}
    assert set(outputs_of(terms="guided")[2]) == {"audio", "visual", "total"}
    _, _, terms = outputs_of()
    assert terms["total"] == terms["video"] + terms["audio"] + terms["visual"]


def test_smoothing_moves_visual_targets_only_and_negatives_too() -> None:
    outputs, batch, smoothed = outputs_of()
    assert outputs.clip_visual is not None
    target = torch.where(batch.labels > 0, 0.95, 0.05)
    wanted = F.binary_cross_entropy(outputs.clip_visual, target)
    torch.testing.assert_close(smoothed["visual"], wanted)
    torch.testing.assert_close(smoothed["audio"], outputs_of(noise="none")[2]["audio"])


def test_soft_bootstrap_lets_the_gradient_through_its_target() -> None:
    outputs, batch, terms = outputs_of(noise="bootstrap", bootstrap_beta=0.8)
    probability = outputs.clip_audio
    assert probability is not None
    probability.retain_grad()
    torch.autograd.backward(terms["audio"])
    p = probability.detach()
    target = 0.8 * batch.labels + 0.2 * p
    torch.testing.assert_close(terms["audio"], F.binary_cross_entropy(p, target))
    through_target = 0.2 * (torch.log1p(-p) - torch.log(p))
    by_hand = ((p - target) / (p * (1 - p)) + through_target) / p.numel()
    torch.testing.assert_close(probability.grad, by_hand)


def test_hard_bootstrap_mixes_the_own_decision() -> None:
    outputs, batch, terms = outputs_of(noise="bootstrap", bootstrap="hard", bootstrap_beta=0.8)
    p = outputs.clip_visual
    assert p is not None
    target = 0.8 * batch.labels + 0.2 * (p >= 0.5).float()
    torch.testing.assert_close(terms["visual"], F.binary_cross_entropy(p, target))


def test_seconds_are_a_set_without_a_recurrent_net() -> None:
    model, batch = official(torch.float64)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    mixed = replace(batch, features={name: x[:, order] for name, x in batch.features.items()})
    torch.testing.assert_close(model(mixed).audio, model(batch).audio[:, order])
    torch.testing.assert_close(model(mixed).clip, model(batch).clip)


def test_odd_width_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden must be even and at least 2, got 33"):
        han.Config(hidden=33)


def few(clips: int, store: Path) -> ClipData:
    """So many training clips, without features."""
    data = open_clips(store, han.CARD.needs)
    labels = data.labels[np.zeros(clips, dtype=int)]
    return replace(data, splits=np.full(clips, "train"), labels=labels)


def test_few_clips_take_settings_for_small_sets(
    small_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data = few(han.SMALL_SET - 1, small_store)
    adapted = han.adapt(han.Config(pooling="mean"), data)
    assert adapted == han.Config(pooling="mean", **han.SMALL_SETTINGS)
    assert f"{han.SMALL_SET - 1} training clips are few: hidden 64," in caplog.text
    assert han.adapt(adapted, data) == adapted


@pytest.mark.parametrize(
    "given", [{"epochs": 3}, {"hidden": 32}, {"small": "no"}, {"weight_decay": 0.1, "keep": "last"}]
)
def test_settings_of_the_user_are_left_alone(given: dict[str, Any], small_store: Path) -> None:
    config = han.Config(**given)
    assert han.adapt(config, few(50, small_store)) == config


def test_settings_for_small_sets_may_be_asked_for(small_store: Path) -> None:
    enough = few(han.SMALL_SET, small_store)
    assert han.adapt(han.Config(), enough) == han.Config()
    asked = han.adapt(han.Config(small="yes", hidden=32, epochs=3), enough)
    wanted = {**han.SMALL_SETTINGS, "small": "yes", "hidden": 32, "epochs": 3}
    assert asked == han.Config(**wanted)
