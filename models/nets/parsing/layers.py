"""Layers that several parsing models share.

The names of the parameters are those of the authors' published code, so that a state saved by it
loads: https://github.com/YapengTian/AVVP-ECCV20
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs


class VisualFusion(nn.Module):
    """Frame and motion features of each second in one vector. No activation, no dropout."""

    def __init__(self, width: int, frames: int = 2048, motion: int = 512) -> None:
        super().__init__()
        self.fc_v = nn.Linear(frames, width)
        self.fc_st = nn.Linear(motion, width)
        self.fc_fusion: nn.Module = nn.Linear(2 * width, width)

    def fuse(self, frames: Tensor, motion: Tensor) -> Tensor:
        """Map frame features [B, T, 2048] and motion features [B, T, 512] to [B, T, D].

        `frames` is the mean of a second's frames, or each of them as [B, T, 8, 2048]; the authors
        project each frame and average then, which is the same because the projection is linear.
        """
        frames = frames if frames.ndim == 3 else frames.mean(dim=2)
        both = torch.cat([self.fc_v(frames), self.fc_st(motion)], dim=-1)
        fused: Tensor = self.fc_fusion(both)
        return fused


class ParsingModel(VisualFusion):
    """Features of both modalities in one space, and the heads of multimodal MIL.

    A model subclasses it and puts its temporal net between `embed` and `pool`.
    """

    def __init__(
        self,
        width: int,
        classes: int,
        pooling: str = "attentive",
        inputs: tuple[int, int, int] = (128, 2048, 512),
    ) -> None:
        audio, frames, motion = inputs
        super().__init__(width, frames, motion)
        self.pooling = pooling
        self.fc_a: nn.Module = nn.Linear(audio, width)
        self.fc_prob = nn.Linear(width, classes)
        if pooling == "attentive":
            self.fc_frame_att: nn.Module = nn.Linear(width, classes)
            self.fc_av_att: nn.Module = nn.Linear(width, classes)

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Map the features of a batch to audio [B, T, D] and visual [B, T, D]."""
        visual = self.fuse(batch.features["resnet152"], batch.features["r2plus1d"])
        return self.fc_a(batch.features["vggish"]), visual

    def pool(self, audio: Tensor, visual: Tensor, **extra: Tensor) -> Outputs:
        """Map context features [B, T, D] of each modality to all probabilities.

        `extra` goes on to the net's own loss, with the logits of the seconds [B, T, 2, C].

        Attentive: seconds weighted by a softmax over time, modalities by a softmax over the two
        (Tian et al. 2020, section 3, "Attentive MMIL Pooling"). Max and mean: over the seconds, and
        for the clip over seconds and modalities.
        """
        both = torch.stack([audio, visual], dim=2)  # [B, T, 2, D]
        logits = self.fc_prob(both)
        second = torch.sigmoid(logits)  # [B, T, 2, C]
        if self.pooling == "attentive":
            in_time = torch.softmax(self.fc_frame_att(both), dim=1) * second
            clip = (torch.softmax(self.fc_av_att(both), dim=2) * in_time).sum(dim=(1, 2))
            modality = in_time.sum(dim=1)  # [B, 2, C]
        elif self.pooling == "max":
            clip, modality = second.amax(dim=(1, 2)), second.amax(dim=1)
        else:
            clip, modality = second.mean(dim=(1, 2)), second.mean(dim=1)
        return Outputs(
            clip=clip,
            audio=second[:, :, 0],
            visual=second[:, :, 1],
            clip_audio=modality[:, 0],
            clip_visual=modality[:, 1],
            extra={"logits": logits, **extra},
        )


class AttentionLayer(nn.Module):
    """Attention with residuals and a feed-forward part; subclasses say what attends to what."""

    def __init__(self, width: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def finish(self, query: Tensor, *attended: Tensor) -> Tensor:
        """Apply residual sum, LayerNorm, feed-forward with residual, LayerNorm; all [B, T, D]."""
        for values in attended:
            query = query + self.dropout(values)
        hidden = self.norm1(query)
        inner = self.dropout(F.relu(self.linear1(hidden)))
        return self.norm2(hidden + self.dropout(self.linear2(inner)))


def attention(width: int, dropout: float, heads: int = 1) -> nn.MultiheadAttention:
    """Return an attention over [B, T, D] with learnt projections."""
    return nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)


class HybridAttentionLayer(AttentionLayer):
    """Self-attention and cross-modal attention added to the same query."""

    def __init__(self, width: int, feedforward: int, dropout: float, heads: int = 1) -> None:
        super().__init__(width, feedforward, dropout)
        self.self_attn = attention(width, dropout, heads)
        self.cm_attn = attention(width, dropout, heads)

    def forward(self, query: Tensor, other: Tensor | None) -> Tensor:
        """Update `query` [B, T, D] from itself and from the other modality [B, T, D], if given."""
        attended = []
        if other is not None:
            attended.append(self.cm_attn(query, other, other, need_weights=False)[0])
        attended.append(self.self_attn(query, query, query, need_weights=False)[0])
        return self.finish(query, *attended)


class HybridAttention(nn.Module):
    """One hybrid attention layer whose weights serve both directions."""

    def __init__(self, width: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList([HybridAttentionLayer(width, feedforward, dropout)])

    def forward(
        self, audio: Tensor, visual: Tensor, *, cross: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Update both from the un-updated inputs, [B, T, D] each; one pass serves both.

        Without `cross` each modality attends to itself alone.
        """
        query, other = torch.cat([audio, visual]), torch.cat([visual, audio])
        audio, visual = self.layers[0](query, other if cross else None).chunk(2)
        return audio, visual
