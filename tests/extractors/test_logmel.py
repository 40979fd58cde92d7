"""Log-mel: of long waveforms block by block, and of coarse windows as the authors have it."""

import librosa
import numpy as np
import pytest
import scipy.signal

from extractors.logmel import LogMel, coarse_log_mel, log_mel
from schemas import RECIPES, SAMPLE_RATE


@pytest.mark.parametrize("block_s", [1, 3, 4])
def test_values_do_not_depend_on_the_block(block_s: int) -> None:
    noise = np.random.default_rng(3).standard_normal(7 * SAMPLE_RATE)
    waveform = (0.1 * noise).astype(np.float32)
    np.testing.assert_array_equal(log_mel(waveform, 7, block_s), log_mel(waveform, 7))


def test_coarse_windows_are_those_of_the_authors_program() -> None:
    waveform = (0.1 * np.random.default_rng(0).standard_normal(10 * SAMPLE_RATE)).astype(np.float32)
    *_, magnitude = scipy.signal.spectrogram(
        waveform.astype(np.float64), window=np.hamming(1024), nperseg=1024, noverlap=360,
        detrend=False, mode="magnitude",
    )  # fmt: skip
    bands = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=1024, n_mels=64, fmin=0.0, fmax=8000.0)
    expected = np.log(magnitude.T @ bands.T + 1e-8)
    found = coarse_log_mel(waveform, 10)
    assert found.shape == (10, 24, 64)
    np.testing.assert_allclose(found.reshape(240, 64), expected, atol=1e-4)
    short = coarse_log_mel(waveform[: SAMPLE_RATE // 2], 1)
    np.testing.assert_allclose(short[0, -1], np.log(1e-8), atol=1e-4)
    recipe = RECIPES["llp-eccv20"].with_(extractors=("logmel",), logmel_windows="64ms")
    assert LogMel(recipe).spec.shape == (24, 64)
