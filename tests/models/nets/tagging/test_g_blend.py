"""Gradient blending: weights from gain and overfitting, measured once or again and again."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from models import registry
from models.data.clips import open_clips
from models.nets.tagging import g_blend
from models.training import loop
from models.training.state import Training, begin
from schemas import UsageError
from tests.stores.tagging import CLASSES, write_tagging_store

START = dict.fromkeys(g_blend.HEADS, (1.0, 1.0))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blend") / "store"
    return write_tagging_store(
        folder, train=8, val=4, test=4, seconds=1, features=("logmel", "r2plus1d")
    )


def test_weights_follow_gain_over_squared_overfitting() -> None:
    after = {"audio": (0.5, 0.7), "visual": (0.4, 0.8), "joint": (0.3, 0.6)}
    raw = {"audio": 0.3 / 0.2**2, "visual": 0.2 / 0.4**2, "joint": 0.4 / 0.3**2}
    found = g_blend.blend_weights(START, after)
    assert found == pytest.approx({key: one / sum(raw.values()) for key, one in raw.items()})
    assert sum(g_blend.PUBLISHED.values()) == pytest.approx(1.0)


def test_head_that_got_worse_gets_no_weight() -> None:
    after = {"audio": (0.5, 0.7), "visual": (0.1, 1.9), "joint": (0.3, 0.6)}
    found = g_blend.blend_weights(START, after)
    assert found["visual"] == 0
    assert sum(found.values()) == pytest.approx(1.0)


def test_gap_that_shrank_does_not_take_all_weight() -> None:
    after = {"audio": (0.72, 0.7), "visual": (0.4, 0.8), "joint": (0.3, 0.7)}
    found = g_blend.blend_weights(START, after)  # audio's gap shrank by 0.02
    least = 0.13 * 0.4
    raw = {"audio": 0.3 / least**2, "visual": 0.2 / 0.4**2, "joint": 0.3 / 0.4**2}
    assert found == pytest.approx({key: one / sum(raw.values()) for key, one in raw.items()})
    nobody = {"audio": (0.8, 0.7), "visual": (0.9, 0.8), "joint": (0.9, 0.9)}
    by_gain = g_blend.blend_weights(START, nobody)
    assert by_gain == pytest.approx({"audio": 3 / 6, "visual": 2 / 6, "joint": 1 / 6})


def test_weights_of_equal_gains_go_as_far_apart_as_published_ones_and_little_further() -> None:
    after = {"audio": (0.1, 0.7), "visual": (0.69, 0.7), "joint": (0.699, 0.7)}
    found = g_blend.blend_weights(START, after)
    assert found["visual"] == pytest.approx(found["joint"])
    assert 0.506 / 0.009 < found["visual"] / found["audio"] < 60


def test_without_any_gain_weights_are_equal_and_it_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = g_blend.blend_weights(START, dict.fromkeys(g_blend.HEADS, (0.5, 1.2)))
    assert found == pytest.approx(dict.fromkeys(g_blend.HEADS, 1 / 3))
    assert "all weights are equal" in caplog.text


def training(store: Path, **settings: Any) -> Training:
    config = g_blend.Config.from_json(
        {"classes": len(CLASSES), "trunk": "stored", "precision": "fp32", "batch_size": 16,
         "estimate_epochs": 1, "epochs": 2, **settings}
    )  # fmt: skip
    data = open_clips(store, ("logmel", "r2plus1d"))
    torch.manual_seed(0)
    made = begin(g_blend.Model(config), g_blend.Loss(config), data, config, g_blend.CARD.task)
    made.before_epoch = g_blend.before_epoch
    return made


def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace the measurement by one that gives 1, 2, 3, ... and count the epochs of its calls."""
    epochs: list[int] = []

    def set_weights(training: Training) -> None:
        epochs.append(training.state.epoch)
        loss: Any = training.loss
        loss.weights.fill_(float(len(epochs)))

    monkeypatch.setattr(g_blend, "set_weights", set_weights)
    return epochs


@pytest.mark.parametrize(
    ("weights", "epochs"), [("offline", [0]), ("online", [1, 3]), ("published", [])]
)
def test_weights_are_measured_when_the_setting_says(
    store: Path, monkeypatch: pytest.MonkeyPatch, weights: str, epochs: list[int]
) -> None:
    calls = measured(monkeypatch)
    made = training(store, weights=weights, estimate_epochs=2, epochs=3, trunk="stored")
    g_blend.prepare(made)
    for epoch in (1, 2, 3):
        made.state.epoch = epoch
        made.before_epoch(made)
    assert calls == epochs


def test_measurement_leaves_the_net_and_gives_weights_of_sum_one(store: Path) -> None:
    made = training(store)
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    g_blend.set_weights(made)
    torch.testing.assert_close(made.model.state_dict(), before)
    loss: Any = made.loss
    assert loss.weights.sum().item() == pytest.approx(1.0)
    assert (loss.weights >= 0).all()
    assert not torch.allclose(loss.weights, torch.tensor(list(g_blend.PUBLISHED.values())))


def test_history_has_the_weights_beside_the_losses(store: Path) -> None:
    made = training(store, weights="published", epochs=1)
    loop.fit(made)
    (line,) = made.state.history
    assert {name: line[f"weight_{name}"] for name in g_blend.HEADS} == pytest.approx(
        g_blend.PUBLISHED
    )
    total = sum(g_blend.PUBLISHED[name] * line[name] for name in g_blend.HEADS)
    assert line["total"] == pytest.approx(total, rel=1e-4)


def test_measuring_without_validation_clips_is_refused(tmp_path: Path) -> None:
    root = write_tagging_store(
        tmp_path, train=4, val=0, test=4, seconds=1, features=("logmel", "r2plus1d")
    )
    data = open_clips(root, ("logmel", "r2plus1d"))
    method = registry.load("g_blend")
    for weights in ("offline", "online"):
        config = dataclasses.replace(method.config(), weights=weights)
        with pytest.raises(UsageError, match=f"which --weights {weights} needs"):
            method.check(config, data)
    method.check(dataclasses.replace(method.config(), weights="published"), data)
