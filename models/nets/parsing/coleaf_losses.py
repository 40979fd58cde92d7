"""CoLeaF's terms that need no settings: mutual learning, products of classes, references.

Letters: B clips of a batch, C classes. Source: `models.nets.parsing.coleaf`.
"""

import torch
from torch import Tensor

from models.contract.batch import Outputs
from models.nets.losses import modality_clips


def mutual_loss(outputs: Outputs, labels: Tensor, step: int) -> Tensor:
    """Return how far clip [B, C] and modalities differ: for labels the larger, else their mean.

    In odd steps the clip learns, in even ones the modalities; each as much as it is in doubt.
    """
    extra = outputs.extra
    probability = torch.stack(modality_clips(outputs), dim=-1).clamp(1e-7, 1 - 1e-7)
    clip = outputs.clip.clamp(1e-7, 1 - 1e-7)
    doubt = torch.stack([extra["doubt_audio"], extra["doubt_visual"]], dim=-1)
    largest, place = probability.max(dim=-1)
    of_largest = doubt.gather(-1, place.unsqueeze(-1)).squeeze(-1)
    of_clip = extra["doubt_clip"].clamp(min=0.9)[:, None]
    total = torch.zeros_like(clip)
    for value, unsure, share in (
        (largest, of_largest, labels), (probability.mean(-1), doubt.mean(-1), 1 - labels),
    ):  # fmt: skip
        if step % 2:
            apart = of_clip * (clip - value.detach()) ** 2
        else:
            apart = (1 - of_clip) * (clip.detach() - value) ** 2
        total = total + (1 - unsure) * apart * share
    return total.mean()


def relation_loss(own: Tensor, wanted: Tensor) -> Tensor:
    """Return the squared difference of the products of every two classes, [B, C] to a number.

    The authors' program multiplies the sum by B / C.
    """
    products = own[:, :, None] * own[:, None] - wanted[:, :, None] * wanted[:, None]
    return products.square().sum() / own.shape[1] * len(own)


def asymmetric_loss(probability: Tensor, target: Tensor) -> Tensor:
    """Return a focal cross-entropy [B, C], summed, in which probabilities up to 0.05 are free.

    A pair counts by how wrong it is; the weight has no gradient.
    """
    against = (1.05 - probability).clamp(max=1)
    log = target * probability.clamp(min=1e-8).log()
    log = log + (1 - target) * against.clamp(min=1e-8).log()
    right = probability * target + against * (1 - target)
    return -(log * (1 - right).detach()).sum()
