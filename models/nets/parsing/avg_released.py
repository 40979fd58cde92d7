"""Weights of AVG by the names of the authors' class, and by ours."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

UNUSED = (
    "uniter.pooler", "uniter.rgb_embeddings.fc_v", "uniter.r2p1d_embeddings.fc_v",
    "uniter.rgb_embeddings.pos_layer_norm", "uniter.r2p1d_embeddings.pos_layer_norm",
    "uniter.audio_embeddings.pos_layer_norm",
)  # fmt: skip
"""Modules of the authors' class that its forward pass never calls."""
NAMES = (
    (r"uniter\.rgb_embeddings\.(.+)", r"tokens.resnet152.\1"),
    (r"uniter\.r2p1d_embeddings\.(.+)", r"tokens.r2plus1d.\1"),
    (r"uniter\.audio_embeddings\.(.+)", r"tokens.vggish.\1"),
    (r"(tokens\..+)\.(?:img|audio)_linear\.(.+)", r"\1.project.\2"),
    (r"(tokens\..+)\.(?:img|audio)_layer_norm\.(.+)", r"\1.norm_feature.\2"),
    (r"(tokens\..+)\.LayerNorm\.(.+)", r"\1.norm_token.\2"),
    (r"(tokens\..+)\.position_embeddings\.weight", r"\1.positions"),
    (r"(tokens\..+)\.mask_embedding\.weight", r"\1.mask"),
    (r"uniter\.token_type_embeddings\.weight", "kinds.weight"),
    (r"uniter\.encoder\.layer\.(.+)", r"encoder.layers.\1"),
    (r"(encoder\..+)\.attention\.output\.dense\.(.+)", r"\1.self_attn.out_proj.\2"),
    (r"(encoder\..+)\.attention\.output\.LayerNorm\.(.+)", r"\1.norm1.\2"),
    (r"(encoder\..+)\.intermediate\.dense\.(.+)", r"\1.linear1.\2"),
    (r"(encoder\..+)\.output\.dense\.(.+)", r"\1.linear2.\2"),
    (r"(encoder\..+)\.output\.LayerNorm\.(.+)", r"\1.norm2.\2"),
)
"""Names of the authors' class, and ours; applied in this order."""
PARTS = ("query", "key", "value")
"""Projections of an attention, which ours holds in one tensor, in this order."""


def from_authors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights by our names; those that have them already stay.

    >>> list(from_authors({"uniter.rgb_embeddings.img_linear.bias": torch.ones(4)}))
    ['tokens.resnet152.project.bias']
    """
    ours: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name.startswith(tuple(f"{module}." for module in UNUSED)):
            ours[name] = value
            continue
        for theirs, own in NAMES:
            name = re.sub(rf"^{theirs}$", own, name)
        ours[name] = value[1] if name.endswith(".mask") and value.ndim == 2 else value
    return _joined(ours)


def _joined(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights with the three projections of each attention in one tensor."""
    for first in [name for name in weights if ".attention.self.query." in name]:
        layer, _, last = first.partition(".attention.self.query.")
        names = [f"{layer}.attention.self.{part}.{last}" for part in PARTS]
        if all(name in weights for name in names):
            parts = [weights.pop(name) for name in names]
            weights[f"{layer}.self_attn.in_proj_{last}"] = torch.cat(parts)
    return weights
