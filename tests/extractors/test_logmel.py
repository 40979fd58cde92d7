"""Log-mel of a long waveform: block by block, and the same values."""

import numpy as np
import pytest

from extractors.logmel import log_mel
from schemas import SAMPLE_RATE


@pytest.mark.parametrize("block_s", [1, 3, 4])
def test_values_do_not_depend_on_the_block(block_s: int) -> None:
    noise = np.random.default_rng(3).standard_normal(7 * SAMPLE_RATE)
    waveform = (0.1 * noise).astype(np.float32)
    np.testing.assert_array_equal(log_mel(waveform, 7, block_s), log_mel(waveform, 7))
