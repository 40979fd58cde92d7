"""UWAV against the authors' code: soft labels, weights of classes, mixed seconds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.nets.parsing import uwav
from tests.models.nets.parsing.authors import check_step, golden, scored_batch

SHARES = (0.3, 0.8)


class GivenMixtures(uwav.Model):
    """Mixes by the shares and orders that the authors' code was given."""

    calls = 0

    def mix(self, seconds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        place = self.calls % 2
        self.calls += 1
        share = torch.tensor(SHARES[place], dtype=torch.float64)
        order = torch.from_numpy(np.random.default_rng(place).permutation(len(seconds)))
        return self.fc_prob(share * seconds + (1 - share) * seconds[order]), order, share


def test_outputs_loss_gradients_and_step_are_those_of_the_authors_code() -> None:
    config, numbers = uwav.Config(dropout=0.0), golden("uwav")
    batch, loss = scored_batch(numbers), uwav.Loss(config)
    hard = torch.stack([batch.pseudo_labels[name] > 0.5 for name in uwav.MODALITIES]).double()
    loss.frequency.copy_(hard.mean(dim=(1, 2)))
    reordered = dict(numbers)
    video, audio, visual, mixed_audio, mixed_visual = numbers["terms"]
    reordered["terms"] = np.array([video, audio, mixed_audio, visual, mixed_visual])
    check_step(reordered, GivenMixtures(config), loss, config, batch)


def test_soft_labels_lie_between_decision_and_score() -> None:
    config = uwav.Config(classes=25)
    batch = scored_batch(golden("uwav"))
    plain = uwav.Loss(replace(config, label_temperature=1.0)).labels(batch, "audio")
    torch.testing.assert_close(plain, batch.pseudo_labels["audio"].double() * batch.labels[:, None])
    soft = uwav.Loss(config).labels(batch, "audio")
    assert ((soft - 0.5).abs() <= (plain - 0.5).abs() + 1e-12).all()
    hard = uwav.Loss(replace(config, soft=False)).labels(batch, "audio")
    assert ((hard == 0.0) | (hard == 1.0)).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_mixtures_are_drawn_in_training_alone(seed: int) -> None:
    config = uwav.Config(hidden=16, feedforward=16, heads=2, layers=1)
    torch.manual_seed(seed)
    model = uwav.Model(config)
    seconds = torch.randn(40, 16)
    mixed, order, share = model.mix(seconds)
    assert sorted(order.tolist()) == list(range(40))
    assert 0 < share < 1
    wanted = model.fc_prob(share * seconds + (1 - share) * seconds[order])
    torch.testing.assert_close(mixed, wanted)
