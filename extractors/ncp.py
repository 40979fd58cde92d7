"""Non-negative components of a clip's waveform, each with its VGGish: proposals for classification.

Paper: Parekh, Essid, Ozerov, Duong, Perez, Richard, "Identify, Locate and Separate: Audio-Visual
    Object Extraction in Large Video Collections Using Weak Supervision", WASPAA 2019,
    https://arxiv.org/abs/1811.04000, and "Weakly Supervised Representation Learning for
    Audio-Visual Scene Analysis", IEEE/ACM TASLP 2019.
Not settled there, so chosen here: 20 components, STFT of 1024 samples every 512 (Hann), 200
multiplicative updates of the Kullback-Leibler divergence from a fixed random start, soft masks.

Letters: F bins, N spectrogram frames, K components.
"""

import numpy as np
import torch
from torch import Tensor

from extractors.base import Array, finite
from extractors.nets.threads import one_thread
from extractors.nets.vggish_input import log_mel_examples
from extractors.vggish import VGGishExtractor
from schemas.features import SEGMENT_HOP_S
from schemas.media import SAMPLE_RATE, ClipMedia, Components

COMPONENTS, WINDOW, HOP, UPDATES = 20, 1024, 512, 200
WINDOW_HOP_S, LOUDEST = 0.96, 5
"""With `ncp_windows` loudest a component's VGGish is the mean over so many windows, those in which
it is loudest, of windows that follow each other."""
EPSILON = 1e-10


def nmf_kl(x: Tensor, w: Tensor, h: Tensor, updates: int) -> tuple[Tensor, Tensor]:
    """Factor x [F, N] into w [F, K] and h [K, N] under the generalised KL divergence.

    Multiplicative updates of Lee & Seung (NIPS 2000), w before h, from the given start; the
    divergence never rises.
    """
    for _ in range(updates):
        ratio = x / (w @ h).clamp_min(EPSILON)
        w = w * (ratio @ h.T) / h.sum(dim=1).clamp_min(EPSILON)
        ratio = x / (w @ h).clamp_min(EPSILON)
        h = h * (w.T @ ratio) / w.sum(dim=0)[:, None].clamp_min(EPSILON)
    return w, h


def components(magnitude: Tensor) -> tuple[Tensor, Tensor]:
    """Return w [F, K], its columns summing to 1, and h [K, N] for a magnitude [F, N].

    The start is random but always the same, so the same waveform gives the same components.
    """
    generator = torch.Generator().manual_seed(0)
    bins, frames = magnitude.shape
    scale = (magnitude.mean() / COMPONENTS).sqrt()
    w = scale * (0.1 + torch.rand(bins, COMPONENTS, generator=generator))
    h = scale * (0.1 + torch.rand(COMPONENTS, frames, generator=generator))
    w, h = nmf_kl(magnitude, w, h, UPDATES)
    size = w.sum(dim=0)
    empty = size <= EPSILON  # a component of no energy: an even spectrum that never acts
    w = torch.where(empty, torch.full_like(w, 1.0 / bins), w / size.clamp_min(EPSILON))
    return w, h * torch.where(empty, 0.0, size)[:, None]


def loudest(waveform: Array, examples: Array) -> Array:
    """Return those examples [E, 96, 64] of a waveform [S] whose windows are loudest, in order.

    Five at most; of equally loud windows the first.
    """
    size = round(WINDOW_HOP_S * SAMPLE_RATE)
    energy = [float((waveform[i * size : (i + 1) * size] ** 2).sum()) for i in range(len(examples))]
    chosen = np.argsort(-np.array(energy), kind="stable")[:LOUDEST]
    kept: Array = examples[np.sort(chosen)]
    return kept


class NCP(VGGishExtractor):
    """K = 20 components of the whole clip's waveform: `Components`.

    The VGGish of a component is that of its own waveform (soft mask on the clip's spectrogram, with
    the clip's phase), averaged over windows of 0.96 s: all of them every 0.48 s, or those in which
    it is loudest (`ncp_windows` of the recipe).
    """

    name = "ncp"

    @one_thread()
    def extract(self, media: ClipMedia) -> Components | None:
        """Return the components of the clip, None without audio."""
        if media.waveform is None:
            return None
        hann = torch.hann_window(WINDOW)
        waveform = torch.from_numpy(media.waveform)
        spectrum = torch.stft(waveform, WINDOW, HOP, window=hann, return_complex=True)
        w, h = components(spectrum.abs())
        whole = (w @ h).clamp_min(EPSILON)
        rows = []
        for k in range(COMPONENTS):
            masked = spectrum * (w[:, k : k + 1] * h[k] / whole)
            own = torch.istft(masked, WINDOW, HOP, window=hann, length=len(waveform))
            rows.append(self.windows(own.numpy()))
        vggish: Array = self.embedder(np.concatenate(rows))
        vggish = vggish.reshape(COMPONENTS, -1, vggish.shape[1]).mean(axis=1)
        return Components(
            w=finite(w.T.contiguous().numpy(), media.clip_key, self.name),
            h=finite(h.numpy(), media.clip_key, self.name),
            vggish=finite(vggish, media.clip_key, self.name),
        )

    def windows(self, waveform: Array) -> Array:
        """Return the log-mel examples [E, 96, 64] of a component's waveform [S] that count."""
        if self.recipe.ncp_windows == "all":
            return log_mel_examples(waveform, SEGMENT_HOP_S)
        return loudest(waveform, log_mel_examples(waveform, WINDOW_HOP_S))
