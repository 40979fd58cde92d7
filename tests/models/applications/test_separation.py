"""Separation: the masks and the measure."""

import numpy as np
import pytest
import torch

from models.applications import separation
from tests.models.waveforms import spectra, tone


def test_hard_weights_follow_the_threshold_and_soft_ones_the_scores() -> None:
    scores = torch.tensor([-3.0, -2.75, -2.6, 2.0])
    assert separation.component_weights(scores, "hard", 0.05).tolist() == [0.0, 1.0, 1.0, 1.0]
    assert separation.component_weights(scores, "hard", 0.07).tolist() == [0.0, 0.0, 1.0, 1.0]
    torch.testing.assert_close(
        separation.component_weights(scores, "soft"), torch.tensor([0.0, 0.05, 0.08, 1.0])
    )
    assert separation.component_weights(torch.zeros(3), "soft").tolist() == [1.0, 1.0, 1.0]


def test_source_and_rest_add_up_and_the_mask_takes_the_source_out() -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    w, h = spectra(low, high)
    source, rest = separation.separate(low + high, w, h, torch.tensor([1.0, 0.0]))
    np.testing.assert_allclose(source + rest, low + high, atol=1e-6)
    before = separation.si_sdr(low + high, low)
    assert separation.si_sdr(source, low) > before + 15
    assert separation.si_sdr(rest, high) > before + 15
    everything, nothing = separation.separate(low + high, w, h, torch.ones(2))
    np.testing.assert_allclose(everything[600:-600], (low + high)[600:-600], atol=1e-4)
    assert np.abs(nothing[600:-600]).max() < 1e-4


def test_silence_has_a_mask_of_zeros() -> None:
    mask = separation.source_mask(torch.full((2, 513), 1 / 513), torch.zeros(2, 9), torch.ones(2))
    assert not mask.any()


def test_si_sdr_is_what_it_says() -> None:
    random = np.random.default_rng(0)
    source = random.normal(size=8000).astype(np.float32)
    noise = random.normal(size=8000).astype(np.float32)
    noise -= (noise @ source) / (source @ source) * source
    for ratio in (-10.0, 0.0, 20.0):
        scaled = noise * np.sqrt((source @ source) / (noise @ noise) / 10 ** (ratio / 10))
        assert separation.si_sdr(source + scaled, source) == pytest.approx(ratio, abs=0.05)
        assert separation.si_sdr(-3 * (source + scaled), source) == pytest.approx(ratio, abs=0.05)
    assert separation.si_sdr(2 * source, source) == float("inf")
    with pytest.raises(ValueError, match="the source is silent"):
        separation.si_sdr(source, np.zeros(8000, np.float32))
