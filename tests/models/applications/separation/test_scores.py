"""How near a separated source comes: SI-SDR, and BSS-eval's ratios."""

import numpy as np
import pytest

from models.applications.separation.scores import bss_eval, si_sdr


def test_si_sdr_is_what_it_says() -> None:
    random = np.random.default_rng(0)
    source = random.normal(size=8000).astype(np.float32)
    noise = random.normal(size=8000).astype(np.float32)
    noise -= (noise @ source) / (source @ source) * source
    for ratio in (-10.0, 0.0, 20.0):
        scaled = noise * np.sqrt((source @ source) / (noise @ noise) / 10 ** (ratio / 10))
        assert si_sdr(source + scaled, source) == pytest.approx(ratio, abs=0.05)
        assert si_sdr(-3 * (source + scaled), source) == pytest.approx(ratio, abs=0.05)
    assert si_sdr(2 * source, source) == float("inf")
    with pytest.raises(ValueError, match="the source is silent"):
        si_sdr(source, np.zeros(8000, np.float32))


def test_ratios_of_bss_eval_tell_interference_from_artefacts() -> None:
    random = np.random.default_rng(0)
    sources = list(random.normal(size=(2, 16_000)).astype(np.float32))
    noise = random.normal(size=16_000).astype(np.float32)
    other, dirty = bss_eval([sources[0] + 0.1 * sources[1], sources[1] + 0.1 * noise], sources)
    assert other["sir"] == pytest.approx(20, abs=0.5)
    assert other["sar"] > 60
    assert dirty["sir"] > 30
    assert dirty["sar"] == pytest.approx(20, abs=0.5)
    assert dirty["sdr"] == pytest.approx(20, abs=0.5)
    silent, clean = bss_eval([np.zeros(16_000, np.float32), sources[1] + 0.1 * noise], sources)
    assert np.isnan(list(silent.values())).all()
    assert clean["sdr"] == pytest.approx(20, abs=0.5)
