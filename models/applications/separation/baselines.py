"""What separates without a trained model, to stand beside it.

- HPSS: the harmonic and the percussive part of the mixture (Fitzgerald, "Harmonic/percussive
  separation using median filtering", DAFx 2010, as librosa has it). It knows no classes: truth says
  which part is given to which source, whichever assignment fits better.
- Semi-supervised NMF: spectra of a class learnt from clean sources of it (not those that are
  mixed), held while the mixture is factored together with free components for all else (Smaragdis,
  Raj, Shashanka, "Supervised and semi-supervised separation of sounds from single-channel
  mixtures", ICA 2007, with the Kullback-Leibler updates of Lee & Seung). It hears clean sources,
  which a model of weak labels never does.

Letters: F bins, N spectrogram frames, K components, S samples.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.applications.separation.scores import si_sdr
from models.applications.separation.stems import Mixture, read_stem
from models.applications.separation.wiener import EPSILON, HOP, WINDOW, magnitude, separate

SPECTRA, FREE, UPDATES = 10, 10, 100
"""Spectra of a class, free components beside them, multiplicative updates."""
MOST_STEMS = 5
"""Clean sources that the spectra of a class are learnt from, at most."""

Waveform = NDArray[np.float32]


def hpss(mixture: Mixture) -> list[Waveform]:
    """Return an estimate [S] of each source: the part, harmonic or percussive, that fits better."""
    spectrum = librosa.stft(mixture.waveform, n_fft=WINDOW, hop_length=HOP)
    parts = [
        librosa.istft(part, n_fft=WINDOW, hop_length=HOP, length=len(mixture.waveform))
        for part in librosa.decompose.hpss(spectrum)
    ]
    orders = (parts, parts[::-1])
    gains = [sum(map(si_sdr, order, mixture.sources)) for order in orders]
    return list(orders[int(np.argmax(gains))])


class Dictionaries:
    """Spectra of each class, learnt from clean sources that are in no mixture."""

    def __init__(self, stems: Mapping[str, Sequence[Path]], mixed: frozenset[Path]) -> None:
        self.paths = {
            label: [path for path in paths if path not in mixed][:MOST_STEMS]
            for label, paths in stems.items()
        }
        self.spectra: dict[str, Tensor] = {}

    def knows(self, label: str) -> bool:
        """Whether there is a clean source of the class to learn from."""
        return bool(self.paths.get(label))

    def of(self, label: str) -> Tensor:
        """Return the spectra [F, K] of a class."""
        if label not in self.spectra:
            waveforms = [read_stem(path) for path in self.paths[label]]
            heard = magnitude(np.concatenate(waveforms))
            w, _ = factor(heard, torch.zeros(len(heard), 0), SPECTRA)
            self.spectra[label] = w
        return self.spectra[label]

    def separate(self, waveform: Waveform, label: str) -> Waveform:
        """Return the source [S] of a class in a mixture [S]."""
        held = self.of(label)
        w, h = factor(magnitude(waveform), held, FREE)
        own = (torch.arange(w.shape[1]) < held.shape[1]).float()
        return separate(waveform, w.T, h, own)[0]


def factor(heard: Tensor, held: Tensor, free: int) -> tuple[Tensor, Tensor]:
    """Factor a magnitude [F, N] into w [F, K], whose first columns are `held`, and h [K, N].

    From a random start that is always the same; columns of w sum to 1.
    """
    generator = torch.Generator().manual_seed(0)
    own = held.shape[1]
    w = torch.cat([held, 0.1 + torch.rand(len(heard), free, generator=generator)], dim=1)
    w = w / w.sum(dim=0).clamp_min(EPSILON)
    h = (0.1 + torch.rand(w.shape[1], heard.shape[1], generator=generator)) * heard.mean()
    for _ in range(UPDATES):
        h = h * (w.T @ (heard / (w @ h).clamp_min(EPSILON)))
        ratio = heard / (w @ h).clamp_min(EPSILON)
        fitted = w[:, own:] * (ratio @ h[own:].T)
        w = torch.cat([w[:, :own], fitted / fitted.sum(dim=0).clamp_min(EPSILON)], dim=1)
    return w, h
