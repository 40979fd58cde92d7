"""Separation of a source with the non-negative components of its mixture.

Paper: Parekh, Essid, Ozerov, Duong, Perez, Richard, "Weakly Supervised Representation Learning for
    Audio-Visual Scene Analysis", TASLP 2019, and its companion page: components that a classifier
    scores high for a label make the source, by a Wiener-type mask on the mixture; hard threshold
    tau = 0.1.
Not openly readable there, so chosen here: scores are scaled to 0..1 between the lowest and the
highest component, and the source has the phase of the mixture. A contest of the labels for each
component is ours; it separates better (docs/parekh.md).

Media of another rate than 16 kHz, or of several channels, are separated as they are: the components
are read off at the bins and frames of the medium's own spectrogram; above 8 kHz, where the
extractor hears nothing, their spectra are fitted to the mixture with their activations held.

Letters: K components, F bins, N spectrogram frames, S samples, D channels.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.contract.masks import TAU, TEMPERATURE
from schemas import SAMPLE_RATE

WINDOW, HOP = 1024, 512
"""STFT that the extractor `ncp` factors, in samples at 16 kHz (Hann)."""
EPSILON = 1e-12
HIGHEST_HZ = 7500.0
"""Up to here the spectra of the extractor are taken; resampling weakens what is above."""
FITS = 50
"""Multiplicative updates of the spectra above `HIGHEST_HZ`."""


def contest(classes: Tensor) -> Tensor:
    """Return the share of each component in each source, [J, K], from its class scores [J, K].

    A softmax over the labels and 0, which stands for whatever no label claims: a component that
    speaks for one label goes to it, of one that speaks against all next to nothing is taken.

    >>> contest(torch.tensor([[1.0, -1.0, 0.5], [-1.0, -1.0, 0.5]])).round(decimals=2).tolist()
    [[1.0, 0.0, 0.5], [0.0, 0.0, 0.5]]
    """
    rest = torch.zeros_like(classes[:1])
    return (torch.cat([classes, rest]) / TEMPERATURE).softmax(dim=0)[:-1]


def scaled(scores: Tensor) -> Tensor:
    """Return the scores of K components [J, K], each label's scaled to 0..1.

    Equal scores tell nothing, so every component counts in full.
    """
    low, high = scores.amin(dim=1, keepdim=True), scores.amax(dim=1, keepdim=True)
    return torch.where(high > low, (scores - low) / (high - low).clamp_min(EPSILON), 1.0)


def above(scores: Tensor, tau: float = TAU) -> Tensor:
    """Return 1 for each component, [J, K], whose scaled score reaches `tau`, else 0.

    >>> above(torch.tensor([[0.0, 1.0, 5.0, 10.0]])).tolist()
    [[0.0, 1.0, 1.0, 1.0]]
    """
    return (scaled(scores) >= tau).to(scores.dtype)


def source_mask(w: Tensor, h: Tensor, weights: Tensor) -> Tensor:
    """Return the Wiener-type mask [F, N] in 0..1: weighted components over all components.

    `w` is [K, F], `h` is [K, N], `weights` is [K].
    """
    return ((weights[:, None] * w).T @ h) / (w.T @ h + EPSILON)


def separate(
    waveform: NDArray[np.float32], w: Tensor, h: Tensor, weights: Tensor, rate: int = SAMPLE_RATE
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Split a mixture, [S] or [D, S] at `rate` in Hz, into source and rest; their sum is it."""
    mixture = torch.from_numpy(waveform)
    window = round(WINDOW * rate / SAMPLE_RATE)
    hop = window // 2
    hann = torch.hann_window(window)
    padded = F.pad(mixture, (0, max(0, window - mixture.shape[-1])))  # one window at least
    spectrum = torch.stft(padded, window, hop, window=hann, return_complex=True)
    magnitude = spectrum.abs().reshape(-1, *spectrum.shape[-2:]).mean(dim=0)
    w, h = components_at(w, h, magnitude, rate, hop)
    masked = spectrum * source_mask(w, h, weights)
    whole = torch.istft(masked, window, hop, window=hann, length=padded.shape[-1])
    source = whole[..., : mixture.shape[-1]]
    return source.numpy(), (mixture - source).numpy()


def components_at(
    w: Tensor, h: Tensor, magnitude: Tensor, rate: int, hop: int
) -> tuple[Tensor, Tensor]:
    """Return components w [K, F], h [K, N] at the bins and frames of a magnitude [F', N'].

    Both are interpolated linearly, frames behind the last one are like it; spectra above
    `HIGHEST_HZ` are those that fit the magnitude best (Kullback-Leibler), with h held.
    """
    own_hz = rate / 2 / (len(magnitude) - 1)
    if rate == SAMPLE_RATE and magnitude.shape == (w.shape[1], h.shape[1]):
        return w, h
    places = np.arange(magnitude.shape[1]) * (hop / rate) / (HOP / SAMPLE_RATE)
    hertz = np.arange(len(magnitude)) * own_hz
    w, h = interpolated(w, hertz / (SAMPLE_RATE / WINDOW)), interpolated(h, places)
    high = torch.from_numpy(hertz > HIGHEST_HZ) if rate > SAMPLE_RATE else None
    if high is not None:
        w[:, high] = fitted_spectra(magnitude[high], h)
    return w, h


def interpolated(rows: Tensor, places: NDArray[np.floating]) -> Tensor:
    """Return rows [K, N] at places [N'] counted in columns, between columns linearly."""
    columns = np.arange(rows.shape[1])
    found = [np.interp(places, columns, row) for row in rows.double().numpy()]
    return torch.from_numpy(np.stack(found)).to(rows.dtype)


def fitted_spectra(magnitude: Tensor, h: Tensor) -> Tensor:
    """Return the spectra [K, F] that with activations h [K, N] come nearest a magnitude [F, N]."""
    w = magnitude.new_full((len(h), len(magnitude)), 1.0 / max(1, len(magnitude)))
    total = h.sum(dim=1)[:, None].clamp_min(EPSILON)
    for _ in range(FITS):
        ratio = magnitude / (w.T @ h).clamp_min(EPSILON)
        w = w * (h @ ratio.T) / total
    return w


def magnitude(waveform: NDArray[np.float32]) -> Tensor:
    """Return the magnitude [F, N] of a waveform [S] at 16 kHz."""
    samples = torch.from_numpy(waveform)
    return torch.stft(
        samples, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True
    ).abs()


def spectrogram(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the magnitude in dB, [F, N], for figures."""
    decibels: NDArray[np.float32] = (20 * magnitude(waveform).clamp_min(1e-5).log10()).numpy()
    return decibels
