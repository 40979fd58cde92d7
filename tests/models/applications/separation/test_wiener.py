"""Separation: the shares of components, and the masks."""

import numpy as np
import pytest
import torch

from models.applications.separation import wiener
from models.applications.separation.scores import si_sdr
from tests.models.waveforms import spectra, tone


def test_hard_shares_follow_the_threshold_and_soft_ones_the_scores() -> None:
    scores = torch.tensor([[-3.0, -2.75, -2.6, 2.0], [1.0, 1.0, 1.0, 1.0]])
    assert wiener.above(scores, 0.05)[0].tolist() == [0.0, 1.0, 1.0, 1.0]
    assert wiener.above(scores, 0.07)[0].tolist() == [0.0, 0.0, 1.0, 1.0]
    expected = torch.tensor([[0.0, 0.05, 0.08, 1.0], [1.0, 1.0, 1.0, 1.0]])
    torch.testing.assert_close(wiener.scaled(scores), expected)


def test_labels_contest_for_each_component_and_the_rest_takes_what_none_claims() -> None:
    shares = wiener.contest(torch.tensor([[2.0, -2.0, 1.0, 0.0], [-2.0, -2.0, 1.5, -9.0]]))
    torch.testing.assert_close(shares[0, 0], torch.tensor(1.0), atol=1e-6, rtol=0)
    assert shares[:, 1].max() < 1e-6
    assert shares[1, 2] == pytest.approx(1 / (1 + np.exp(-5) + np.exp(-15)), abs=1e-6)
    assert shares[0, 3] == pytest.approx(0.5)
    alone = wiener.contest(torch.tensor([[2.0, -2.0, 1.0, 0.0]]))
    assert alone[0, 2] > 0.9999


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (8_000, 1), (44_100, 2), (48_000, 6)])
def test_any_rate_and_number_of_channels_is_kept(rate: int, channels: int) -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    w, h = spectra(low, high)
    time = np.arange(3 * rate + 17) / rate
    first = 0.3 * (time < 2) * np.sin(2 * np.pi * 440 * time)
    second = 0.3 * (time >= 1) * np.sin(2 * np.pi * 3000 * time)
    if rate > 24_000:  # what the extractor cannot hear follows when the component acts
        second = second + 0.3 * (time >= 1) * np.sin(2 * np.pi * 11_000 * time)
    gain = np.linspace(1.0, 0.5, channels)[:, None]
    mixture = (gain * (first + second)).astype(np.float32)
    source, rest = wiener.separate(mixture, w, h, torch.tensor([1.0, 0.0]), rate)
    assert source.shape == mixture.shape
    np.testing.assert_allclose(source + rest, mixture, atol=1e-6)
    for own, part in zip(source, gain * first, strict=True):
        assert si_sdr(own, part.astype(np.float32)) > si_sdr(mixture[0], first) + 10


def test_source_and_rest_add_up_and_the_mask_takes_the_source_out() -> None:
    low, high = tone(440, 0, 2), tone(3000, 1, 3)
    w, h = spectra(low, high)
    source, rest = wiener.separate(low + high, w, h, torch.tensor([1.0, 0.0]))
    np.testing.assert_allclose(source + rest, low + high, atol=1e-6)
    before = si_sdr(low + high, low)
    assert si_sdr(source, low) > before + 15
    assert si_sdr(rest, high) > before + 15
    everything, nothing = wiener.separate(low + high, w, h, torch.ones(2))
    np.testing.assert_allclose(everything[600:-600], (low + high)[600:-600], atol=1e-4)
    assert np.abs(nothing[600:-600]).max() < 1e-4


def test_silence_has_a_mask_of_zeros() -> None:
    mask = wiener.source_mask(torch.full((2, 513), 1 / 513), torch.zeros(2, 9), torch.ones(2))
    assert not mask.any()
