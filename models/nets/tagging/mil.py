"""Multiple instance learning: from scores of instances to the score of a clip, and two losses.

Each function is one equation. A clip is a bag of instances (boxes, audio segments, components
of the audio); `present` says which of a padded bag there are, and the others count nothing. A clip
without instances scores 0 for every class.

Letters: B clips, P instances, C classes.

References
----------
- Bilen, Vedaldi, "Weakly Supervised Deep Detection Networks", CVPR 2016: two streams, softmax over
  classes and over instances.
- Parekh et al., "Weakly Supervised Representation Learning for Unsynchronized Audio-Visual Events",
  2018, section 2 and figure 1: two streams with a softmax over instances alone, l2 normalisation,
  log-sum-exp as the one-stream baseline.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from models.nets.losses import label_weights

NEAR = 9
"""Boxes after the best one that the spatial regulariser looks at."""
NEAR_OVERLAP = 0.6
"""Intersection over union above which they count as near, as WSDDN's authors take it."""


def over_instances(locate: Tensor, present: Tensor) -> Tensor:
    """Return the softmax over the instances of each class, [B, P, C]; `present` is bool [B, P]."""
    there = present[:, :, None]
    hidden = locate.masked_fill(~there, torch.finfo(locate.dtype).min)
    return hidden.softmax(dim=1) * there


def two_stream(classify: Tensor, locate: Tensor, present: Tensor) -> Tensor:
    """Return scores of instances [B, P, C]: class scores times the softmax over instances.

    Their sum over instances is the clip's score; each says how much its instance brings to it.
    """
    return classify * over_instances(locate, present)


def wsddn(classify: Tensor, locate: Tensor, present: Tensor) -> Tensor:
    """Return scores [B, P, C] as Bilen & Vedaldi: class scores are a softmax over classes."""
    return classify.softmax(dim=-1) * over_instances(locate, present)


def spatial_regulariser(
    hidden: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor, present: Tensor
) -> Tensor:
    """Return how unlike the best box of a label those near it are, summed over clips and labels.

    Of the `NEAR` next best boxes of a class, each in the frame of the best one that overlaps it by
    more than `NEAR_OVERLAP` adds half the squared distance of their `hidden` [B, P, D], times its
    score. `boxes` [B, P, 6] are frame, edges and objectness, `scores` [B, P, C], `labels` [B, C].
    Source: Bilen & Vedaldi, section 3.4; their program weighs by the score as a constant.
    """
    from torchvision.ops import box_iou  # 2 s and 100 MB that no other model needs

    total = hidden.new_zeros(())
    held = scores.detach().masked_fill(~present[:, :, None], -math.inf)
    for clip, label in labels.nonzero().tolist():
        order = held[clip, :, label].argsort(descending=True)[: NEAR + 1]
        best, others = order[:1], order[1:]
        overlap = box_iou(boxes[clip, others, 1:5], boxes[clip, best, 1:5])[:, 0]
        near = others[
            (overlap > NEAR_OVERLAP)
            & (boxes[clip, others, 0] == boxes[clip, best, 0])
            & present[clip, others]
        ]
        apart = (hidden[clip, near] - hidden[clip, best]).square().sum(dim=1)
        total = total + 0.5 * (held[clip, near, label] * apart).sum()
    return total


def log_sum_exp(scores: Tensor, present: Tensor, sharpness: float = 1.0) -> Tensor:
    """Return scores of clips [B, C], a soft maximum: ln(mean over instances of exp(r s)) / r.

    `sharpness` is r; towards 0 it is the mean, towards infinity the maximum.
    """
    count = present.sum(dim=1)[:, None].to(scores.dtype)
    hidden = (sharpness * scores).masked_fill(~present[:, :, None], -math.inf)
    empty = count == 0
    total = hidden.masked_fill(empty[:, :, None], 0.0).logsumexp(dim=1)
    return ((total - count.clamp_min(1).log()) / sharpness).masked_fill(empty, 0.0)


def over_time(clip: Tensor, scores: Tensor, present: Tensor) -> Tensor:
    """Return how surely each instance shows each class, [B, P, C]: the clip's probability, scaled.

    `clip` is [B, C], `scores` [B, P, C]. The instance of a clip with the highest score for a class
    has the whole of it, the one with the lowest none; of equal scores all have the whole.
    """
    there = present[:, :, None]
    highest = torch.finfo(scores.dtype).max
    low = scores.masked_fill(~there, highest).amin(dim=1, keepdim=True)
    high = scores.masked_fill(~there, -highest).amax(dim=1, keepdim=True)
    share = torch.where(high > low, (scores - low) / (high - low).clamp_min(1e-12), 1.0)
    return clip[:, None] * share.clamp(0.0, 1.0) * there


def l2_normalised(scores: Tensor) -> Tensor:
    """Return class scores [B, C] divided by their length over the classes; zeros stay zeros."""
    return F.normalize(scores, dim=1)


def hinge(scores: Tensor, labels: Tensor, quality: Tensor | None = None) -> Tensor:
    """Return the multi-label hinge: mean over clips and classes of max(0, 1 - y s), y = 1 or -1.

    Both are [B, C]; labels are 0 and 1. `quality` as `models.nets.losses.clip_loss` takes it.
    """
    losses = (1.0 - (2.0 * labels - 1.0) * scores).clamp_min(0.0)
    return (losses if quality is None else losses * label_weights(labels, quality)).mean()
