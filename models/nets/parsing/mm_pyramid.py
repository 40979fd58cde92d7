"""MM-Pyramid: attention and convolutions over windows that double from unit to unit.

Paper: Yu, Cheng, Zhao, Feng, Zhang, "MM-Pyramid: Multimodal Pyramid Attentional Network for
    Audio-Visual Event Localization and Video Parsing", ACM MM 2022,
    https://arxiv.org/abs/2111.12374
Authors' code: https://github.com/JustinYuu/MM_Pyramid
Differences: see `CARD.differences`.

Letters as in `models.contract.batch`; L levels of the pyramid.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Dropout, Rate, Share, Size
from models.contract.card import Experiment, ModelCard, PaperRow, ReleasedWeights
from models.contract.config import TrainConfig
from models.nets.losses import clip_loss, guided_terms, modality_targets, with_total
from models.nets.parsing.layers import ParsingModel
from models.nets.parsing.valor import refuse_heads
from models.tasks.parsing import Parsing
from models.training.method import NetMethod


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """MM-Pyramid on LLP."""

    learning_rate: Rate = 1e-4
    """Adam's learning rate in the first epochs."""
    hidden: Size = 512
    """Width of the shared space."""
    feedforward: Size = 512
    """Width inside the feed-forward parts."""
    heads: Size = 8
    """Attention heads."""
    levels: Size = 4
    """Levels of the pyramid; their windows reach 1, 2, 4, ... seconds to either side."""
    dropout: Dropout = 0.2
    """In residuals and feed-forward parts."""
    attention_dropout: Dropout = 0.1
    """In attention."""
    smooth_visual: Share = 0.1
    """Smoothing of the visual labels."""
    swap_streams: bool = True
    """As in the authors' program, whose audio outputs are those of the video stream and the other
    way round; each stream attends to the other, so it trains all the same."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_heads(self.hidden, self.heads)


class MultiHeadAttention(nn.Module):
    """Attention with four projections, over all seconds or those within `reach`."""

    def __init__(self, width: int, heads: int, dropout: float, reach: int | None = None) -> None:
        super().__init__()
        first = nn.Linear(width, width)
        self.linears = nn.ModuleList(copy.deepcopy(first) for _ in range(4))
        self.heads, self.reach, self.dropout = heads, reach, dropout

    def forward(self, query: Tensor, other: Tensor) -> Tensor:
        """Let `query` [B, T, D] attend to `other` [B, T, D]."""
        given = zip(self.linears[:3], (query, other, other), strict=True)
        queries, keys, values = (
            layer(features).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, features in given
        )
        mask = None
        if self.reach is not None:
            second = torch.arange(query.shape[1], device=query.device)
            mask = (second[:, None] - second).abs() <= self.reach
        attended = F.scaled_dot_product_attention(
            queries, keys, values, mask, self.dropout if self.training else 0.0
        )
        out: Tensor = self.linears[3](attended.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """Two linear layers with ReLU and dropout between them."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        """Map [..., D] to [..., D]."""
        out: Tensor = self.w_2(self.dropout(F.relu(self.w_1(values))))
        return out


class Residual(nn.Module):
    """The norm before a part and the dropout after it."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, values: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """Add what a part makes of the normalised values, [B, T, D]."""
        added: Tensor = values + self.dropout(part(self.norm(values)))
        return added


class TransformerLayer(nn.Module):
    """Attention and feed-forward part, each after a norm and beside a residual."""

    def __init__(
        self, width: int, attention: MultiHeadAttention, feed_forward: FeedForward, dropout: float
    ) -> None:
        super().__init__()
        self.self_attn, self.feed_forward = attention, feed_forward
        self.sublayer = nn.ModuleList(Residual(width, dropout) for _ in range(2))

    def forward(self, query: Tensor, other: Tensor) -> Tensor:
        """Update `query` [B, T, D] from `other` [B, T, D], which is not normalised."""
        query = self.sublayer[0](query, lambda values: self.self_attn(values, other))
        updated: Tensor = self.sublayer[1](query, self.feed_forward)
        return updated


class Wrapped(nn.Module):
    """A transformer layer by the name that the authors' blocks have for it."""

    def __init__(self, layer: TransformerLayer) -> None:
        super().__init__()
        self.layer = layer


class PyramidAttention(nn.Module):
    """Self and cross-modal attention within a window, gated and added."""

    def __init__(self, config: Config, feed_forward: FeedForward, reach: int) -> None:
        super().__init__()
        width = config.hidden

        def layer() -> Wrapped:
            attention = MultiHeadAttention(width, config.heads, config.attention_dropout, reach)
            own = copy.deepcopy(feed_forward)
            return Wrapped(TransformerLayer(width, attention, own, config.dropout))

        self.vsablock, self.asablock, self.cmablock = layer(), layer(), layer()
        self.lv1, self.lv2 = nn.Linear(2 * width, width), nn.Linear(2 * width, width)
        self.la1, self.la2 = nn.Linear(2 * width, width), nn.Linear(2 * width, width)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Update visual and audio features, [B, T, D] each."""
        seen, heard = self.vsablock.layer(visual, visual), self.asablock.layer(audio, audio)
        crossed = self.cmablock.layer(visual, audio), self.cmablock.layer(audio, visual)
        return (
            gated(seen, crossed[0], self.lv1, self.lv2),
            gated(heard, crossed[1], self.la1, self.la2),
        )


def gated(own: Tensor, cross: Tensor, own_gate: nn.Module, cross_gate: nn.Module) -> Tensor:
    """Add two features [B, T, D], each times a gate that both decide."""
    both = torch.cat([own, cross], dim=-1)
    return torch.sigmoid(own_gate(both)) * own + torch.sigmoid(cross_gate(both)) * cross


class TemporalBlock(nn.Module):
    """A dilated convolution over the seconds, a pointwise one, and the residual."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.conv2 = nn.Conv1d(width, width, 1)

    def forward(self, values: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        channels = values.transpose(1, 2)
        out = F.relu(channels + self.conv2(F.relu(self.conv1(channels))))
        return out.transpose(1, 2)


class Capture(nn.Module):
    """The pyramid: at each level attention within a window, then convolutions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        feed_forward = FeedForward(config.hidden, config.feedforward, config.dropout)
        reaches = [2**level for level in range(config.levels)]
        self.vnetwork = nn.ModuleList(TemporalBlock(config.hidden, reach) for reach in reaches)
        self.anetwork = nn.ModuleList(TemporalBlock(config.hidden, reach) for reach in reaches)
        self.msa = nn.ModuleList(PyramidAttention(config, feed_forward, r) for r in reaches)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Map [B, T, D] of each modality to its features of all levels, [B, T, L, D]."""
        seen, heard = [], []
        for attend, convolve, convolve_audio in zip(
            self.msa, self.vnetwork, self.anetwork, strict=True
        ):
            visual, audio = attend(visual, audio)
            visual, audio = convolve(visual), convolve_audio(audio)
            seen.append(visual)
            heard.append(audio)
        return torch.stack(seen, dim=2), torch.stack(heard, dim=2)


class Fusion(nn.Module):
    """Attention among the levels of a second, then their sum with a weight of each."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.hidden
        attention = MultiHeadAttention(width, config.heads, config.attention_dropout)
        feed_forward = FeedForward(width, config.feedforward, config.dropout)

        def layer() -> TransformerLayer:
            parts = copy.deepcopy(attention), copy.deepcopy(feed_forward)
            return TransformerLayer(width, *parts, config.dropout)

        self.vadaptiveinteraction, self.aadaptiveinteraction = layer(), layer()
        self.vselectfusion, self.aselectfusion = nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Map levels [B, T, L, D] of each modality to [B, T, D]."""
        return (
            levels_sum(visual, self.vadaptiveinteraction, self.vselectfusion),
            levels_sum(audio, self.aadaptiveinteraction, self.aselectfusion),
        )


def levels_sum(levels: Tensor, interact: nn.Module, select: nn.Module) -> Tensor:
    """Return the weighted sum over the levels [B, T, L, D] of each second, [B, T, D]."""
    flat = levels.flatten(0, 1)
    values = interact(flat, flat)
    total: Tensor = (values * torch.sigmoid(select(values))).sum(dim=1)
    return total.reshape(*levels.shape[:2], -1)


class Pyramid(nn.Module):
    """Capture and fusion."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.capture, self.fusion = Capture(config), Fusion(config)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Update visual and audio features, [B, T, D] each."""
        fused: tuple[Tensor, Tensor] = self.fusion(*self.capture(visual, audio))
        return fused


class Model(ParsingModel):
    """Features, pyramid, heads."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.hidden, config.classes)
        self.MMP = Pyramid(config)
        self.swap_streams = config.swap_streams

    def forward(self, batch: Batch) -> Outputs:
        """Map `vggish` [B, T, 128], `resnet152` [B, T, 2048], `r2plus1d` [B, T, 512] to Outputs."""
        audio, visual = self.embed(batch)
        seen, heard = self.MMP(visual, audio)
        return self.pool(seen, heard) if self.swap_streams else self.pool(heard, seen)


class Loss(nn.Module):
    """HAN's three terms."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.smooth_visual = config.smooth_visual

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `video`, `audio`, `visual` and `total`."""
        targets = modality_targets(batch, 0.0, self.smooth_visual)
        video = clip_loss(outputs.clip, batch.labels)
        return with_total({"video": video, **guided_terms(outputs, targets)})


LEVELS = 4
"""Levels of the authors' program, for the names in its files of weights."""
CARD = ModelCard(
    name="mm_pyramid",
    title="MM-Pyramid: Multimodal Pyramid Attentional Network for Audio-Visual Event Localization "
    "and Video Parsing",
    paper="Yu, Cheng, Zhao, Feng, Zhang, ACM MM 2022",
    url="https://arxiv.org/abs/2111.12374",
    code="https://github.com/JustinYuu/MM_Pyramid",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("audio", "visual")),
    experiments=(
        Experiment(
            name="mm_pyramid",
            settings={},
            rows=(
                PaperRow(
                    paper="Yu et al. 2022",
                    table="none",
                    row="MM-Pyramid; no number openly readable where this was written",
                    numbers={},
                ),
            ),
        ),
    ),
    differences=(
        "The authors' program stacks the video stream where its loss and its scores take the "
        "audio's, and the other way round; so it is here, --no-swap-streams sets it right.",
    ),
    released=ReleasedWeights(
        unused=(
            "MMP.capture.multiheadattn",
            "MMP.capture.feedforward",
            "MMP.fusion.multiheadattn",
            "MMP.fusion.feedforward",
            *(f"MMP.capture.{side}network.{i}.net" for side in "va" for i in range(LEVELS)),
            *(
                f"MMP.capture.msa.{i}.{side}block.layer.self_attn.layer_norm"
                for side in ("vsa", "asa", "cma")
                for i in range(LEVELS)
            ),
            *(f"MMP.fusion.{side}adaptiveinteraction.self_attn.layer_norm" for side in "va"),
        ),
    ),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss)
