"""The front end of VGGish: from a waveform to log-mel examples, in numpy alone.

Source: Google's published parameters of VGGish's input; the network is in `extractors.vggish`.
Letters: S samples, N examples.
"""

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from extractors.base import Array
from schemas.media import SAMPLE_RATE

WINDOW, HOP, FFT = 400, 160, 512
BANDS, LOW_HZ, HIGH_HZ = 64, 125.0, 7500.0
EXAMPLE_FRAMES = 96


def log_mel_examples(waveform: NDArray[np.floating], hop_s: float = 0.96) -> Array:
    """Cut a waveform into VGGish's log-mel examples.

    `waveform` is [S] in -1..1 at 16 kHz; the result is float32 [N, 96, 64]: windows of 0.96 s
    every `hop_s` seconds (rounded to 10 ms), without padding, so that 15,600 samples are the least
    that give one example. Frames of 400 samples every 160, periodic Hann window, magnitude of the
    512-point spectrum, 64 bands linear on the HTK mel scale in 125-7500 Hz, ln(x + 0.01).

    >>> log_mel_examples(np.zeros(16_000, dtype=np.float32)).shape
    (1, 96, 64)
    """
    hop_frames = round(hop_s * SAMPLE_RATE / HOP)
    if hop_frames < 1:
        raise ValueError(f"hop_s={hop_s}: need at least 0.01 s")
    log_mel = _log_mel(np.asarray(waveform))
    if len(log_mel) < EXAMPLE_FRAMES:
        return np.zeros((0, EXAMPLE_FRAMES, BANDS), dtype=np.float32)
    windows = sliding_window_view(log_mel, EXAMPLE_FRAMES, axis=0)[::hop_frames]
    return windows.transpose(0, 2, 1).copy()


def _log_mel(waveform: NDArray[np.floating]) -> Array:
    """Return a waveform [S] as float32 [frames, 64], without padding; a rest is dropped."""
    if waveform.ndim != 1 or not np.issubdtype(waveform.dtype, np.floating):
        raise ValueError(
            f"waveform is {waveform.dtype} {waveform.shape}; need floating point [samples] in -1..1"
        )
    if len(waveform) < WINDOW:
        return np.zeros((0, BANDS), dtype=np.float32)
    frames = sliding_window_view(waveform, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi / WINDOW * np.arange(WINDOW))
    log_mel = np.empty((len(frames), BANDS), dtype=np.float32)
    for start in range(0, len(frames), 4096):  # bounds the memory of a long waveform
        block = slice(start, start + 4096)
        magnitude = np.abs(np.fft.rfft(frames[block] * hann, FFT))
        log_mel[block] = np.log(magnitude @ _mel_matrix() + 0.01)
    return log_mel


@cache
def _mel_matrix() -> NDArray[np.float64]:
    """Return weights [257, 64] of the bands: triangles on the mel axis, no area norm, 0 at 0 Hz."""

    def mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(np.asarray(hz) / 700.0)

    bins = mel(np.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1))[:, None]
    edges = np.linspace(mel(LOW_HZ), mel(HIGH_HZ), BANDS + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    matrix = np.maximum(0.0, np.minimum(rising, falling))
    matrix[0] = 0.0
    return matrix
