"""What is done to training spectrograms so that a net does not memorise few clips.

Crops, levels, masks: Park et al., "SpecAugment", Interspeech 2019, https://arxiv.org/abs/1904.08779
Mixtures: Zhang et al., "mixup", ICLR 2018, https://arxiv.org/abs/1710.09412

Letters: B clips, F frames, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nets.tagging.logmel import Spectrogram

BAND_SHIFT = 2
"""Bands that a clip's pitch may be moved by."""
LEVEL, TILT = 0.3, 0.3
"""Standard deviations of a clip's level and of its slope over the bands, in standardised units."""
MASKS, MASK_BANDS, MASK_SHARE = 2, 8, 0.15
"""Masks of each kind, widest mask over bands, longest mask over time as a share of the crop."""
MIX_SHARE = 0.5
"""Share of the batches whose clips are mixed with each other."""


class Augmentation(nn.Module):
    """Crop, move, colour, mask and mix clips; new random numbers each time."""

    def __init__(self, crop_frames: int) -> None:
        super().__init__()
        self.crop_frames = crop_frames

    def forward(self, logmel: Spectrogram, labels: Tensor) -> tuple[Spectrogram, Tensor]:
        """Map normalised frames [B, F, 64] and labels [B, C] to changed ones, F maybe shorter."""
        if self.crop_frames and logmel.frames.shape[1] > self.crop_frames:
            logmel = crop(logmel, self.crop_frames)
        frames = masked(coloured(moved(logmel.frames)))
        if torch.rand(()) < MIX_SHARE:
            return mixed(Spectrogram(frames, logmel.present), labels)
        return Spectrogram(frames, logmel.present), labels


def crop(logmel: Spectrogram, length: int) -> Spectrogram:
    """Cut `length` frames out of each clip; louder parts are drawn more often.

    Sounds in the wild are often shorter than their clip, and a crop of the silence around them
    would carry a label that it does not show.
    """
    level = logmel.frames.mean(dim=2).masked_fill(~logmel.present, -torch.inf)
    top = level.amax(dim=1, keepdim=True).nan_to_num(neginf=0.0)
    loud = torch.exp(2.0 * (level - top)) + 0.02  # [B, F]; a silent part keeps a small chance
    chance = F.avg_pool1d(loud[:, None], length, 1)[:, 0]  # [B, starts]
    start = torch.multinomial(chance, 1)
    index = start + torch.arange(length, device=start.device)
    frames = logmel.frames.gather(1, index[..., None].expand(-1, -1, logmel.frames.shape[2]))
    return Spectrogram(frames, logmel.present.gather(1, index))


def moved(frames: Tensor) -> Tensor:
    """Shift all bands of a clip up or down by a few, the edge band repeated."""
    shift = torch.randint(-BAND_SHIFT, BAND_SHIFT + 1, (len(frames), 1), device=frames.device)
    bands = frames.shape[2]
    index = (torch.arange(bands, device=frames.device) + shift).clamp(0, bands - 1)
    return frames.gather(2, index[:, None].expand(-1, frames.shape[1], -1))


def coloured(frames: Tensor) -> Tensor:
    """Make each clip louder or softer, and brighter or duller."""
    size = (len(frames), 1, 1)
    slope = torch.linspace(-1.0, 1.0, frames.shape[2], device=frames.device)
    level = LEVEL * torch.randn(size, device=frames.device)
    return frames + level + TILT * torch.randn(size, device=frames.device) * slope


def masked(frames: Tensor) -> Tensor:
    """Set runs of bands and of frames to the mean, which is zero."""
    longest = max(1, int(MASK_SHARE * frames.shape[1]))
    for _ in range(MASKS):
        frames = frames * _gap(frames, 1, longest)[:, :, None]
        frames = frames * _gap(frames, 2, MASK_BANDS)[:, None, :]
    return frames


def _gap(frames: Tensor, axis: int, widest: int) -> Tensor:
    """Return ones with a random gap of zeros per clip: [B, size of the axis]."""
    size, clips = frames.shape[axis], len(frames)
    width = torch.rand(clips, 1, device=frames.device) * widest
    start = torch.rand(clips, 1, device=frames.device) * (size - width)
    index = torch.arange(size, device=frames.device)
    return ((index < start) | (index >= start + width)).float()


def mixed(logmel: Spectrogram, labels: Tensor) -> tuple[Spectrogram, Tensor]:
    """Mix each clip with another of the batch, labels in the same shares."""
    share = torch.distributions.Beta(0.4, 0.4).sample((len(labels),)).to(labels.device)
    share = torch.maximum(share, 1.0 - share)
    other = torch.randperm(len(labels)).to(labels.device)
    frames = (
        share[:, None, None] * logmel.frames + (1 - share)[:, None, None] * logmel.frames[other]
    )
    there = logmel.present | logmel.present[other]
    return Spectrogram(frames, there), share[:, None] * labels + (1 - share)[:, None] * labels[
        other
    ]
