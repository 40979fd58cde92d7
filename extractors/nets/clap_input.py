"""What CLAP sees of a second of audio: its log-mel spectrogram, repeated to ten seconds.

As in the authors' program (https://github.com/LAION-AI/CLAP): 48 kHz, windows of 1,024 samples
every 480, 64 mel bands from 50 to 14,000 Hz, decibels of the power. Audio is decoded at 16 kHz,
so nothing is above 8 kHz here. Letters: N seconds.
"""

from functools import cache
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from schemas.media import SAMPLE_RATE

RATE, WINDOW, HOP, BANDS = 48_000, 1024, 480, 64
LOWEST_HZ, HIGHEST_HZ = 50.0, 14_000.0
SECONDS = 10
"""Length that shorter audio is repeated to."""
FLOOR = 1e-10
"""Least power whose decibels are taken."""


def log_mel_of_seconds(seconds: NDArray[np.float32], *, fused: bool = True) -> NDArray[np.float32]:
    """Map audio at 16 kHz, float32 [N, 16000], to float32 [N, 1001, 64].

    `fused` says which mel filters a checkpoint was trained with: HTK's without normalisation for
    those with feature fusion, Slaney's for the others.
    """
    audio = resample_poly(seconds, RATE // SAMPLE_RATE, 1, axis=1)
    whole = np.tile(audio, (1, -(-SECONDS * RATE // audio.shape[1])))[:, : SECONDS * RATE]
    power = np.abs(librosa.stft(whole, n_fft=WINDOW, hop_length=HOP, pad_mode="reflect")) ** 2
    bands = np.einsum("mf,nft->ntm", _filters(fused), power)
    decibels: NDArray[np.float32] = (10.0 * np.log10(np.maximum(bands, FLOOR))).astype(np.float32)
    return decibels


@cache
def _filters(fused: bool) -> NDArray[Any]:
    style: dict[str, Any] = {"htk": True, "norm": None} if fused else {"htk": False}
    filters: NDArray[Any] = librosa.filters.mel(
        sr=RATE, n_fft=WINDOW, n_mels=BANDS, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, **style
    )
    return filters
