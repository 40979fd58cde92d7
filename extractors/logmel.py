"""Log-mel spectrogram of each second, as Fayek & Kumar or as DCASE 2017's CVSSP have it.

Windows of 16 ms, the recipe's default: Fayek & Kumar, "Large Scale Audiovisual Learning of Sounds
    with Weakly Labeled Data", IJCAI 2020, https://arxiv.org/abs/2006.01595: 64 bands, windows of
    16 ms every 10 ms, 16 kHz.
Not said there, so chosen here: power spectrum, Slaney's mel bands over 0-8000 Hz, ln(x + 1e-6),
and an FFT of 512 points (the window of 256 samples, zero-padded), because with 256 points some of
the lowest bands would hold no bin at all.
Windows of 64 ms: Xu, Kong, Wang, Plumbley, "Surrey-CVSSP system for DCASE 2017 Challenge Task 4",
    2017: Hamming windows of 1024 samples every 664, 240 in ten seconds, magnitude divided by the
    root of the window's energy, 64 of Slaney's mel bands over 0-8000 Hz, ln(x + 1e-8).

Letters: T seconds.
"""

import librosa
import numpy as np

from extractors.base import Array, Extractor, finite
from schemas.media import SAMPLE_RATE, ClipMedia

WINDOW, HOP, FFT, BANDS = 256, 160, 512, 64
FRAMES = SAMPLE_RATE // HOP
"""Frames of one second: 100."""
COARSE_WINDOW, COARSE_HOP, COARSE_FRAMES = 1024, 664, 24
"""Windows of 64 ms: their samples, samples from one to the next, and how many make a row."""
BLOCK_S = 60
"""Seconds that are transformed at once; the values do not depend on it."""


class LogMel(Extractor):
    """Log-mel of each second: float32 [T, 100, 64], or [T, 24, 64] with windows of 64 ms.

    Frame n of the clip is centred on sample 160 n of the continuous waveform, with zeros beyond its
    ends; second t holds frames 100 t to 100 t + 99. So the seconds of a clip put end to end are
    the spectrogram of the whole clip. Windows of 64 ms are not centred: window n begins at sample
    664 n, and row t holds windows 24 t to 24 t + 23, which begin 4 ms a second early.
    """

    name = "logmel"

    def extract(self, media: ClipMedia) -> Array | None:
        """Return float32 [T, 100 or 24, 64], None without audio."""
        if media.waveform is None:
            return None
        transform = log_mel if self.recipe.logmel_windows == "16ms" else coarse_log_mel
        return finite(transform(media.waveform, media.n_snippets), media.clip_key, self.name)


def log_mel(waveform: Array, n_snippets: int, block_s: int = BLOCK_S) -> Array:
    """Return the log-mel [T, 100, 64] of the first T seconds of a waveform [S], block by block."""
    seconds = np.empty((n_snippets, FRAMES, BANDS), np.float32)
    for start in range(0, n_snippets, block_s):  # bounds the memory of a long waveform
        stop = min(start + block_s, n_snippets)
        seconds[start:stop] = _block(waveform, start, stop)
    return seconds


def _block(waveform: Array, start: int, stop: int) -> Array:
    """Return the log-mel [stop - start, 100, 64] of some seconds of a waveform [S]."""
    first, last = start * SAMPLE_RATE - FFT // 2, stop * SAMPLE_RATE + FFT // 2
    block = waveform[max(0, first) : last]
    padded = np.pad(block, (max(0, -first), max(0, last - len(waveform))))
    power = librosa.feature.melspectrogram(
        y=padded, sr=SAMPLE_RATE, n_fft=FFT, win_length=WINDOW, hop_length=HOP, n_mels=BANDS,
        center=False,
    )  # fmt: skip
    frames = power.T[: (stop - start) * FRAMES]
    logarithm: Array = np.log(frames + 1e-6, dtype=np.float32)
    return logarithm.reshape(stop - start, FRAMES, BANDS)


def coarse_log_mel(waveform: Array, n_snippets: int) -> Array:
    """Return the log-mel [T, 24, 64] of a waveform [S] in windows of 64 ms, zeros behind it."""
    count = n_snippets * COARSE_FRAMES
    size = (count - 1) * COARSE_HOP + COARSE_WINDOW
    padded = np.pad(waveform[:size], (0, max(0, size - len(waveform)))).astype(np.float32)
    window = np.hamming(COARSE_WINDOW).astype(np.float32)
    bands = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=COARSE_WINDOW, n_mels=BANDS)
    frames = np.lib.stride_tricks.sliding_window_view(padded, COARSE_WINDOW)[::COARSE_HOP]
    rows = []
    for block in np.array_split(frames, n_snippets):  # a second at a time bounds the memory
        magnitude = np.abs(np.fft.rfft(block * window, axis=1)) / np.sqrt((window**2).sum())
        rows.append(np.log(magnitude @ bands.T + 1e-8).astype(np.float32))
    seconds: Array = np.stack(rows)
    return seconds
