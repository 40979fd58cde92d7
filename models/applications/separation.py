"""Separation of a source with the non-negative components of its mixture.

Paper: Parekh, Essid, Ozerov, Duong, Perez, Richard, "Weakly Supervised Representation Learning for
    Audio-Visual Scene Analysis", TASLP 2019, and its companion page: components that a classifier
    scores high for a label make the source, by a Wiener-type mask on the mixture; hard threshold
    tau = 0.1.
Not openly readable there, so chosen here: scores are scaled to 0..1 between the lowest and the
highest component, and the source has the phase of the mixture.

Letters: K components, F bins, N spectrogram frames, S samples.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.masks import TAU, MaskRule

WINDOW, HOP = 1024, 512
"""STFT that the extractor `ncp` factors, in samples at 16 kHz (Hann)."""
EPSILON = 1e-12


def component_weights(scores: Tensor, rule: MaskRule, tau: float = TAU) -> Tensor:
    """Return the share of each component in the source, [K], from its scores [K] for the label.

    Scores are scaled to 0..1 over the components; soft takes them as they are, hard makes them 1
    from `tau` on and 0 below. Equal scores tell nothing, so every component counts in full.

    >>> component_weights(torch.tensor([0.0, 1.0, 5.0, 10.0]), "hard").tolist()
    [0.0, 1.0, 1.0, 1.0]
    """
    low, high = scores.min(), scores.max()
    if high == low:
        return torch.ones_like(scores)
    scaled = (scores - low) / (high - low)
    return (scaled >= tau).to(scores.dtype) if rule == "hard" else scaled


def source_mask(w: Tensor, h: Tensor, weights: Tensor) -> Tensor:
    """Return the Wiener-type mask [F, N] in 0..1: weighted components over all components.

    `w` is [K, F], `h` is [K, N], `weights` is [K].
    """
    return ((weights[:, None] * w).T @ h) / (w.T @ h + EPSILON)


def separate(
    waveform: NDArray[np.float32], w: Tensor, h: Tensor, weights: Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Split a mixture into source and rest, [S] each; their sum is the mixture."""
    hann = torch.hann_window(WINDOW)
    mixture = torch.from_numpy(waveform)
    spectrum = torch.stft(mixture, WINDOW, HOP, window=hann, return_complex=True)
    masked = spectrum * source_mask(w, h, weights)
    source = torch.istft(masked, WINDOW, HOP, window=hann, length=len(waveform))
    return source.numpy(), (mixture - source).numpy()


def spectrogram(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the magnitude in dB, [F, N], for figures."""
    hann = torch.hann_window(WINDOW)
    samples = torch.from_numpy(waveform)
    magnitude = torch.stft(samples, WINDOW, HOP, window=hann, return_complex=True).abs()
    decibels: NDArray[np.float32] = (20 * magnitude.clamp_min(1e-5).log10()).numpy()
    return decibels


def si_sdr(estimate: NDArray[np.float32], source: NDArray[np.float32]) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB.

    Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019: both without their mean, the
    source scaled to fit the estimate best. Infinite for a perfect estimate, -infinite for one that
    has nothing of the source.
    """
    estimated = estimate.astype(np.float64) - estimate.mean(dtype=np.float64)
    wanted = source.astype(np.float64) - source.mean(dtype=np.float64)
    energy = float(wanted @ wanted)
    if energy == 0.0:
        raise ValueError("the source is silent, so nothing can be measured against it")
    target = (float(estimated @ wanted) / energy) * wanted
    noise = estimated - target
    above, below = float(target @ target), float(noise @ noise)
    if below <= above * 1e-20:
        return float("inf")
    return 10 * float(np.log10(above / below)) if above else -float("inf")
