"""What is done to training spectrograms so that a net does not memorise few clips.

Crops, levels, masks: Park et al., "SpecAugment", Interspeech 2019, https://arxiv.org/abs/1904.08779
Mixtures: Zhang et al., "mixup", ICLR 2018, https://arxiv.org/abs/1710.09412

Letters: B clips, F frames, C classes.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.bounds import AtLeast, Share, Weight
from models.contract.config import LogMelConfig
from models.nets.tagging.logmel import FRAMES, Spectrogram

BAND_SHIFT = 2
"""Bands that a clip's pitch may be moved by."""
LEVEL, TILT = 0.3, 0.3
"""Standard deviations of a clip's level and of its slope over the bands, in standardised units."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(LogMelConfig):
    """Settings of nets that change what they hear in training."""

    augment: Literal["auto", "yes", "no"] = "auto"
    """Random crops, masks, levels and mixtures of training clips; auto does it for small sets,
    where the net would learn the clips by heart."""
    time_shift: Weight = 0.0
    """Seconds by which a clip is turned at most, its end put before its beginning; 0 turns none."""
    freq_mask: Annotated[int, AtLeast(0)] = 8
    """Widest mask over bands, in bands (SpecAugment's F); 0 masks none."""
    time_mask: Share = 0.15
    """Longest mask over time, as a share of the crop (SpecAugment's T); 0 masks none."""
    masks: Annotated[int, AtLeast(0)] = 2
    """Masks of each kind (SpecAugment's m_F and m_T)."""
    mixup: Weight = 0.4
    """Alpha of the beta distribution by which two clips are mixed; 0 mixes none."""
    mixup_share: Share = 0.5
    """Share of the batches whose clips are mixed."""


class Augmentation(nn.Module):
    """Turn, crop, move, colour, mask and mix clips; new random numbers each time."""

    def __init__(self, config: AugmentConfig, crop_frames: int) -> None:
        super().__init__()
        self.config, self.crop_frames = config, crop_frames

    def forward(self, logmel: Spectrogram, labels: Tensor) -> tuple[Spectrogram, Tensor]:
        """Map normalised frames [B, F, 64] and labels [B, C] to changed ones, F maybe shorter."""
        config = self.config
        if config.time_shift:
            logmel = turned(logmel, round(config.time_shift * FRAMES))
        if self.crop_frames and logmel.frames.shape[1] > self.crop_frames:
            logmel = crop(logmel, self.crop_frames)
        frames = coloured(moved(logmel.frames))
        logmel = Spectrogram(masked(frames, config), logmel.present)
        if config.mixup and torch.rand(()) < config.mixup_share:
            return mixed(logmel, labels, config.mixup)
        return logmel, labels


def turned(logmel: Spectrogram, most: int) -> Spectrogram:
    """Shift each clip by at most so many frames; what leaves at one end enters at the other.

    The seconds that a clip lacks turn with it.
    """
    clips, length = logmel.frames.shape[:2]
    device = logmel.frames.device
    shift = torch.randint(-most, most + 1, (clips, 1), device=device)
    index = (torch.arange(length, device=device) - shift) % length
    frames = logmel.frames.gather(1, index[..., None].expand(-1, -1, logmel.frames.shape[2]))
    return Spectrogram(frames, logmel.present.gather(1, index))


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


def masked(frames: Tensor, config: AugmentConfig) -> Tensor:
    """Set runs of bands and of frames to the mean, which is zero."""
    longest = int(config.time_mask * frames.shape[1])
    for _ in range(config.masks):
        frames = frames * _gap(frames, 1, longest)[:, :, None]
        frames = frames * _gap(frames, 2, config.freq_mask)[:, None, :]
    return frames


def _gap(frames: Tensor, axis: int, widest: int) -> Tensor:
    """Return ones with a random gap of zeros per clip: [B, size of the axis]."""
    size, clips = frames.shape[axis], len(frames)
    width = torch.rand(clips, 1, device=frames.device) * widest
    start = torch.rand(clips, 1, device=frames.device) * (size - width)
    index = torch.arange(size, device=frames.device)
    return ((index < start) | (index >= start + width)).float()


def mixed(logmel: Spectrogram, labels: Tensor, alpha: float) -> tuple[Spectrogram, Tensor]:
    """Mix each clip with another of the batch, labels in the same shares."""
    share = torch.distributions.Beta(alpha, alpha).sample((len(labels),)).to(labels.device)
    share = torch.maximum(share, 1.0 - share)
    other = torch.randperm(len(labels)).to(labels.device)
    frames = (
        share[:, None, None] * logmel.frames + (1 - share)[:, None, None] * logmel.frames[other]
    )
    there = logmel.present | logmel.present[other]
    return Spectrogram(frames, there), share[:, None] * labels + (1 - share)[:, None] * labels[
        other
    ]
