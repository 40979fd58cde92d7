"""Media made worse on purpose."""

import numpy as np
import pytest

from pipelines.media.degrade import degraded
from schemas import SAMPLE_RATE, Recipe
from tests.pipelines.media.test_quality import clip

TONE = np.sin(np.arange(4 * SAMPLE_RATE) / 20).astype(np.float32) * 0.2
FRAMES = [np.full((40, 60, 3), 200, np.uint8) for _ in range(8)]


@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_noise_is_as_loud_as_it_says_and_the_same_each_time(snr_db: float) -> None:
    media = clip(TONE, None, 3)
    noisy = degraded(media, f"noise:{snr_db}").waveform
    assert noisy is not None
    noise = (noisy - TONE)[: 3 * SAMPLE_RATE]
    ratio = np.mean(TONE.astype(float) ** 2) / np.mean(noise.astype(float) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.2)
    np.testing.assert_array_equal(noisy[3 * SAMPLE_RATE :], TONE[3 * SAMPLE_RATE :])
    again = degraded(media, f"noise:{snr_db}").waveform
    assert again is not None
    np.testing.assert_array_equal(noisy, again)


def test_blur_spreads_a_point_and_keeps_the_size() -> None:
    frames = [frame.copy() for frame in FRAMES]
    frames[1][20, 30] = 0
    media = degraded(clip(None, frames, 4), "blur:5")
    assert media.frames is not None
    assert len(media.frames) == 8
    blurred = np.asarray(media.frames[1])
    assert blurred.shape == (40, 60, 3)
    assert blurred[20, 30, 0] > 150
    assert blurred[20, 33, 0] < 200
    np.testing.assert_array_equal(media.frames[0], FRAMES[0])


def test_dropped_seconds_lose_their_frames() -> None:
    media = degraded(clip(None, FRAMES, 4), "drop:0.5")
    assert media.frames_valid.sum() == 2
    assert media.frames is not None
    assert degraded(clip(None, FRAMES, 4), "drop:1").frames is None


@pytest.mark.parametrize("what", ["noise:10", "blur:2", "drop:0.5"])
def test_what_a_clip_lacks_is_not_made_worse(what: str) -> None:
    silent = clip(np.zeros(SAMPLE_RATE, np.float32), None, 1)
    media = degraded(silent, what)
    assert media.waveform is not None
    assert not media.waveform.any()
    assert degraded(silent, "") is silent


@pytest.mark.parametrize("what", ["fog:1", "noise", "noise:x", "drop:1.5", "blur:nan"])
def test_unknown_degradations_are_refused(what: str) -> None:
    with pytest.raises(ValueError, match="is no degradation; allowed are noise:-100"):
        Recipe(name="x", degrade=what)
