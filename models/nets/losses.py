"""Parts of losses that several models share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.config import TrainConfig


def clip_loss(
    probability: Tensor, target: Tensor, reduction: str = "mean", quality: Tensor | None = None
) -> Tensor:
    """Return the binary cross-entropy of clip probabilities [B, C], by default their mean.

    Attention-pooled means can reach 1 + 1e-8 in float32, so they are cut to 1e-7..1-1e-7 first.
    What is no number counts as one half: PyTorch's own check would end a process on a GPU, where
    the trainer refuses such values a few steps later. With the `quality` [C] of the classes' labels
    a pair that has the label counts by it; pairs without the label count whole.
    """
    safe = probability.nan_to_num(nan=0.5).clamp(1e-7, 1 - 1e-7)
    weight = None if quality is None else label_weights(target, quality)
    return F.binary_cross_entropy(safe, target, weight=weight, reduction=reduction)


def label_weights(target: Tensor, quality: Tensor) -> Tensor:
    """Return what each pair of clip and class counts, [B, C]: with the label its `quality` [C]."""
    return 1.0 - target * (1.0 - quality)


class ClipLoss(nn.Module):
    """Cross-entropy of the clip probability and nothing else."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `clip` and `total`."""
        loss = clip_loss(outputs.clip, batch.labels, quality=batch.quality)
        return with_total({"clip": loss})


def smooth(labels: Tensor, amount: float) -> Tensor:
    """Smooth labels towards 1/2: (1 - amount) * y + amount / 2, for positives and negatives.

    Tian et al. 2020, section 3, "Alleviating Modality Bias and Label Noise" with K = 2.
    """
    return (1.0 - amount) * labels + amount * 0.5


def modality_targets(batch: Batch, smooth_audio: float, smooth_visual: float) -> list[Tensor]:
    """Return the targets of the audio and of the visual clip probability, each [B, C].

    A label that was dropped for a modality becomes exactly 0, after smoothing.
    """
    targets = []
    for amount, dropped in (
        (smooth_audio, batch.dropped_audio),
        (smooth_visual, batch.dropped_visual),
    ):
        target = smooth(batch.labels, amount)
        targets.append(target if dropped is None else target.masked_fill(dropped, 0.0))
    return targets


def modality_clips(outputs: Outputs) -> tuple[Tensor, Tensor]:
    """Return clip probabilities [B, C] of audio and visual; ValueError when the net lacks one."""
    if outputs.clip_audio is None or outputs.clip_visual is None:
        raise ValueError("this loss needs a model that parses audio and visual")
    return outputs.clip_audio, outputs.clip_visual


def guided_terms(outputs: Outputs, targets: list[Tensor]) -> dict[str, Tensor]:
    """Return the individual guided terms `audio` and `visual` (Tian et al. 2020, section 3)."""
    audio, visual = modality_clips(outputs)
    return {"audio": clip_loss(audio, targets[0]), "visual": clip_loss(visual, targets[1])}


def with_total(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the sum of all terms as `total`."""
    return {**terms, "total": torch.stack(list(terms.values())).sum()}
