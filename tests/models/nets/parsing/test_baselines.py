"""The three baselines of the parsing benchmark: their own definitions."""

import logging
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from models.data.clips import open_clips
from models.nets.parsing.baselines import ave, cmcs, talnet
from tests.models.batches import make_batch


def test_linear_softmax_pooling_is_the_published_formula(shared: Path) -> None:
    golden = np.load(shared / "golden" / "pooling.npz")
    pooled = talnet.linear_softmax(torch.from_numpy(golden["frame_prob"]))
    np.testing.assert_allclose(pooled, golden["lin"], rtol=0, atol=1e-12)


def test_talnet_hears_only() -> None:
    torch.manual_seed(0)
    outputs = talnet.Model(talnet.Config(hidden=16, classes=5))(make_batch(classes=5))
    assert outputs.visual is None
    assert outputs.audio is not None
    low, high = outputs.audio.amin(dim=1), outputs.audio.amax(dim=1)
    assert ((outputs.clip >= low) & (outputs.clip <= high)).all()


def test_equal_branches_are_most_alike_and_of_equal_strength() -> None:
    one = torch.randn(3, 1, 5, 10)
    assert cmcs.diversity(one.repeat(1, 4, 1, 1)).item() == pytest.approx(1.0, abs=1e-5)
    assert cmcs.imbalance(one.repeat(1, 4, 1, 1)).item() == pytest.approx(0.0, abs=1e-6)
    different = torch.randn(3, 4, 5, 10)
    assert 0.0 < cmcs.diversity(different) < 1.0
    assert cmcs.imbalance(different) > 0.0


def test_branches_that_fire_at_different_seconds_are_not_alike() -> None:
    branches = torch.full((1, 2, 2, 10), -20.0)
    branches[:, :, 0] = 0.0
    branches[0, 0, 1, :5] = 40.0
    branches[0, 1, 1, 5:] = 40.0
    assert cmcs.diversity(branches).item() == pytest.approx(0.0, abs=1e-4)


def test_cmcs_drops_whole_channels_in_training_only() -> None:
    torch.manual_seed(0)
    model = cmcs.Model(cmcs.Config(hidden=64, embed=8, branch=8, classes=3))
    batch = make_batch(clips=2, classes=3)
    assert torch.equal(model.eval()(batch).clip, model(batch).clip)
    assert not torch.equal(model.train()(batch).clip, model(batch).clip)
    dropped = model.drop(torch.ones(2, 64, 10))
    assert ((dropped == 0).all(dim=2) | (dropped == 2).all(dim=2)).all()


def test_ave_takes_the_maximum_over_time() -> None:
    torch.manual_seed(0)
    model = ave.Model(ave.Config(hidden=16, recurrent=8, inner=8, classes=5))
    outputs = model(make_batch(classes=5))
    assert outputs.audio is not None
    assert outputs.visual is not None
    torch.testing.assert_close(outputs.clip_audio, outputs.audio.amax(dim=1))
    torch.testing.assert_close(outputs.clip_visual, outputs.visual.amax(dim=1))


@pytest.mark.parametrize("net", [ave, cmcs])
def test_few_clips_take_smaller_batches_and_say_so(
    net: ModuleType, small_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clips = open_clips(small_store, net.CARD.needs)
    config = net.METHOD.adapt(net.Config(), clips)
    assert config == net.Config(**net.SMALL_SETTINGS)
    assert config.batch_size < net.Config().batch_size
    assert "training clips are few: hidden 64," in caplog.text
    for given in ({"small": "no"}, {"epochs": 3}, {"weight_decay": 0.1, "keep": "last"}):
        assert net.METHOD.adapt(net.Config(**given), clips) == net.Config(**given)
    enough = replace(clips, splits=np.full(net.SMALL_SET, "train"))
    assert net.METHOD.adapt(net.Config(), enough) == net.Config()
