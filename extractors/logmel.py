"""Log-mel spectrogram of each second, the input of the audio net of Fayek & Kumar.

Paper: Fayek & Kumar, "Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data",
    IJCAI 2020, https://arxiv.org/abs/2006.01595: 64 bands, windows of 16 ms every 10 ms, 16 kHz.
Not said there, so chosen here: power spectrum, Slaney's mel bands over 0-8000 Hz, ln(x + 1e-6),
and an FFT of 512 points (the window of 256 samples, zero-padded), because with 256 points some of
the lowest bands would hold no bin at all.

Letters: T seconds.
"""

import librosa
import numpy as np

from extractors.base import Array, Extractor, finite
from schemas.media import SAMPLE_RATE, ClipMedia

WINDOW, HOP, FFT, BANDS = 256, 160, 512, 64
FRAMES = SAMPLE_RATE // HOP
"""Frames of one second: 100."""
BLOCK_S = 60
"""Seconds that are transformed at once; the values do not depend on it."""


class LogMel(Extractor):
    """Log-mel of each second: float32 [T, 100, 64].

    Frame n of the clip is centred on sample 160 n of the continuous waveform, with zeros beyond its
    ends; second t holds frames 100 t to 100 t + 99. So the seconds of a clip put end to end are
    the spectrogram of the whole clip.
    """

    name = "logmel"

    def extract(self, media: ClipMedia) -> Array | None:
        """Return float32 [T, 100, 64], None without audio."""
        if media.waveform is None:
            return None
        return finite(log_mel(media.waveform, media.n_snippets), media.clip_key, self.name)


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
