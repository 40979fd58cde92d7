"""Log-mel of a batch of clips as one spectrogram each, and how it is normalised.

Letters besides those of `models.contract.batch`: F frames of 10 ms.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.contract.batch import Batch
from models.data.source import ClipSource
from models.nets.standardise import Standardised
from schemas import UsageError

FRAMES, BANDS = 100, 64
"""Frames of a second and mel bands, as the feature `logmel` has them."""


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """Frames of B clips."""

    frames: Tensor
    """float [B, F, 64]; zero where absent."""
    present: Tensor
    """bool [B, F]."""


def spectrogram(batch: Batch) -> Spectrogram:
    """Put the seconds of `logmel` [B, T, 100, 64] end to end: F = 100 T."""
    seconds, present = batch.features["logmel"], batch.present["logmel"]
    return Spectrogram(seconds.flatten(1, 2), present.repeat_interleave(seconds.shape[2], dim=1))


class BandNorm(Standardised):
    """Each band minus its mean over its std, both of training clips; absent frames stay zero."""

    def __init__(self) -> None:
        super().__init__(BANDS)

    def forward(self, logmel: Spectrogram) -> Spectrogram:
        """Normalise the frames that are there."""
        scaled = self.standardise(logmel.frames)
        return Spectrogram(scaled * logmel.present[..., None], logmel.present)


def fit_bands(norm: BandNorm, data: ClipSource, clips: int = 20_000) -> None:
    """Set mean and standard deviation from training clips, the first 20,000 of a shuffle at most.

    `UsageError` when no training clip has audio.
    """
    rows = data.sample("train", clips)
    total = torch.zeros(3, BANDS, dtype=torch.float64)
    for batch in data.batches(rows, 64):
        logmel = spectrogram(batch)
        frames = logmel.frames[logmel.present].double().cpu()
        ones = torch.ones_like(frames)
        total += torch.stack([part.sum(dim=0) for part in (ones, frames, frames * frames)])
    if not total[0, 0]:
        raise UsageError(f"no training clip of {data.manifest.root} has audio to learn from")
    mean = total[1] / total[0]
    std = (total[2] / total[0] - mean * mean).clamp_min(1e-6).sqrt()
    norm.set_statistics(mean, std)


def refuse_other_bands(data: ClipSource) -> None:
    """Raise `UsageError` when the store's log-mel has other frames or bands than the nets take."""
    shape = data.shape("logmel")
    if shape != (FRAMES, BANDS):
        raise UsageError(
            f"{data.manifest.root} has log-mel of {' x '.join(map(str, shape))} a second and this "
            f"net takes {FRAMES} frames x {BANDS} bands; make the features again with extractor "
            "logmel"
        )
