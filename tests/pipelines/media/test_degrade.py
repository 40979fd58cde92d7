"""Media made worse on purpose."""

import hashlib
from dataclasses import replace

import cv2
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


def test_what_is_drawn_depends_on_the_clip() -> None:
    media = clip(TONE, None, 4)
    other = degraded(replace(media, clip_key="other"), "noise:10").waveform
    mine = degraded(media, "noise:10").waveform
    assert mine is not None
    assert other is not None
    assert (mine != other).mean() > 0.9
    frames = FRAMES * 8
    keys = ("clip", "other", "third")
    gone = {
        tuple(degraded(replace(clip(None, frames, 32), clip_key=key), "drop:0.5").frames_valid)
        for key in keys
    }
    assert len(gone) == 3


def test_noise_is_drawn_from_the_first_bytes_of_a_hash() -> None:
    seed = int.from_bytes(hashlib.sha256(b"noise clip").digest()[:8], "big")
    power = float(np.mean(TONE.astype(float) ** 2))
    noise = np.random.default_rng(seed).standard_normal(len(TONE)) * (power / 10) ** 0.5
    noisy = degraded(clip(TONE, None, 4), "noise:10").waveform
    assert noisy is not None
    np.testing.assert_allclose(noisy, (TONE + noise).clip(-1, 1), atol=1e-6)


def test_loud_noise_is_cut_at_full_scale() -> None:
    noisy = degraded(clip(TONE, None, 4), "noise:-20").waveform
    assert noisy is not None
    assert (noisy.min(), noisy.max()) == (-1.0, 1.0)


def test_only_seconds_with_frames_are_dropped_and_the_number_is_rounded() -> None:
    for share, left in ((0.0, 3), (0.2, 2), (0.5, 1), (0.9, 0)):
        media = degraded(clip(None, FRAMES, 3), f"drop:{share}")
        assert media.frames_valid.sum() == left
        assert not media.frames_valid[3:].any()
        assert (media.frames is None) is (left == 0)


def test_blur_is_a_share_of_the_shorter_side() -> None:
    frames = [frame.copy() for frame in FRAMES]
    frames[0][10:30, 20:40] = 0
    media = degraded(clip(None, frames, 4), "blur:5")
    assert media.frames is not None
    wanted = cv2.GaussianBlur(frames[0], (0, 0), 0.05 * 40)
    np.testing.assert_array_equal(media.frames[0], wanted)
    same = degraded(clip(None, frames, 4), "blur:0")
    assert same.frames is not None
    np.testing.assert_array_equal(same.frames[0], frames[0])
