"""Whether a clip is fit for training: loudness, silence and stillness, columns of `clips`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas import SAMPLE_RATE, ClipMedia, Frames

_TENTH = SAMPLE_RATE // 10
BLOCK_SAMPLES = 600 * SAMPLE_RATE
"""Samples that are squared at once, which bounds the memory of a long clip."""
_SILENT_DB = -60.0
_STILL_DIFFERENCE = 1.0
"""Mean absolute difference, in grey levels of 0..255, under which two frames count as the same."""


@dataclass(frozen=True)
class Quality:
    """Figures of one clip; None where the modality is missing."""

    loudness_db: float | None
    """Root mean square of the waveform in dB of full scale (-120 for digital silence)."""
    silent_share: float | None
    """Share of tenths of a second below -60 dB of full scale."""
    still_share: float | None
    """Share of seconds whose first and last frame do not differ (1: a still picture)."""


def measure(media: ClipMedia, block_samples: int = BLOCK_SAMPLES) -> Quality:
    """Measure the seconds that the clip really has."""
    loudness = silent = still = None
    if media.waveform is not None:
        heard = media.waveform[: int(media.audio_valid.sum()) * SAMPLE_RATE]
        starts = range(0, len(heard), block_samples)
        blocks = [heard[start : start + block_samples] for start in starts]
        tenths = np.concatenate([_energies(b.reshape(-1, _TENTH)) for b in blocks]) / _TENTH
        energy = sum(float(_energies(block[None])[0]) for block in blocks)
        loudness = float(_decibels(np.array(energy / len(heard))))
        silent = float((_decibels(tenths) < _SILENT_DB).mean())
    if media.frames is not None:
        still = _still_share(media.frames, int(media.frames_valid.sum()), media.per_snippet)
    return Quality(loudness, silent, still)


def _energies(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sum of squares of each window, [N, S] -> [N]."""
    squares = np.square(windows, dtype=np.float64)
    return np.sum(squares, axis=1)


def _decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return 10 * np.log10(np.maximum(power, 1e-12))


def _still_share(frames: Frames, seconds: int, per_snippet: int) -> float:
    still = 0
    for second in range(seconds):
        first = frames[second * per_snippet][::4, ::4].astype(np.int16)
        last = frames[(second + 1) * per_snippet - 1][::4, ::4].astype(np.int16)
        still += bool(np.abs(last - first).mean() < _STILL_DIFFERENCE)
    return still / seconds
