"""Log-mel of a long waveform: block by block, and the same values."""

import numpy as np
import pytest

from extractors.logmel import LogMel
from schemas import SAMPLE_RATE, ClipMedia


def media(seconds: int) -> ClipMedia:
    noise = np.random.default_rng(3).standard_normal(seconds * SAMPLE_RATE)
    return ClipMedia(
        clip_key="noise",
        n_snippets=seconds,
        waveform=(0.1 * noise).astype(np.float32),
        frames=None,
        audio_valid=np.ones(seconds, np.bool_),
        frames_valid=np.zeros(seconds, np.bool_),
    )


@pytest.mark.parametrize("block_s", [1, 3, 4])
def test_values_do_not_depend_on_the_block(block_s: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LogMel().extract(media(7))
    monkeypatch.setattr("extractors.logmel.BLOCK_S", block_s)
    np.testing.assert_array_equal(LogMel().extract(media(7)), whole)
