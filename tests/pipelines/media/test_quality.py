"""Loudness, silence and stillness of the seconds that a clip has."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.media.quality import Quality, measure
from schemas import SAMPLE_RATE, ClipMedia


def clip(
    waveform: NDArray[np.float32] | None, frames: Sequence[NDArray[np.uint8]] | None, valid: int
) -> ClipMedia:
    seconds = len(waveform) // SAMPLE_RATE if waveform is not None else len(frames or ()) // 2
    there = np.arange(seconds) < valid
    none = np.zeros(seconds, np.bool_)
    return ClipMedia(
        clip_key="clip",
        n_snippets=seconds,
        waveform=waveform,
        frames=frames,
        audio_valid=there if waveform is not None else none,
        frames_valid=there if frames is not None else none,
        per_snippet=2,
    )


def test_loudness_and_silence_are_of_the_seconds_that_are_there() -> None:
    waveform = np.zeros(4 * SAMPLE_RATE, np.float32)
    waveform[: SAMPLE_RATE // 2] = 0.1  # -20 dB in a quarter of the two seconds that are there
    quality = measure(clip(waveform, None, 2))
    assert quality.loudness_db == pytest.approx(-20 + 10 * np.log10(0.25))
    assert quality.silent_share == 0.75
    assert quality.still_share is None


@pytest.mark.parametrize(("level_db", "silent"), [(-60.1, 1.0), (-59.9, 0.0)])
def test_silence_begins_below_sixty_decibels(level_db: float, silent: float) -> None:
    waveform = np.full(SAMPLE_RATE, 10 ** (level_db / 20), np.float32)
    assert measure(clip(waveform, None, 1)).silent_share == silent


def test_digital_silence_has_a_floor() -> None:
    quiet = measure(clip(np.zeros(SAMPLE_RATE, np.float32), None, 1))
    assert quiet == Quality(-120.0, 1.0, None)


def test_long_waveform_is_measured_block_by_block() -> None:
    noise = np.random.default_rng(5).standard_normal(7 * SAMPLE_RATE)
    media = clip((0.1 * noise).astype(np.float32), None, 7)
    whole = measure(media)
    blocks = measure(media, block_samples=2 * SAMPLE_RATE)
    assert blocks.loudness_db == pytest.approx(whole.loudness_db, rel=1e-12)
    assert blocks.silent_share == whole.silent_share


def test_second_is_still_when_its_first_and_last_frame_agree() -> None:
    frames = [np.full((8, 8, 3), level, np.uint8) for level in (50, 50, 50, 51, 50, 52, 9, 9)]
    assert measure(clip(None, frames, 3)).still_share == pytest.approx(1 / 3)
    assert measure(clip(None, frames, 4)).still_share == 0.5


def test_every_fourth_pixel_is_looked_at() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    there, between = grey.copy(), np.full((8, 8, 3), 250, np.uint8)
    there[::4, ::4] += 1
    between[::4, ::4] = 100
    assert measure(clip(None, [grey, there, grey, between], 2)).still_share == 0.5


def test_silent_tenths_are_told_from_loud_ones() -> None:
    waveform = np.zeros(2 * SAMPLE_RATE, np.float32)
    waveform[: 3 * SAMPLE_RATE // 10] = 0.5
    assert measure(clip(waveform, None, 2)).silent_share == pytest.approx(0.85)
    assert measure(clip(waveform, None, 1)).silent_share == pytest.approx(0.7)
