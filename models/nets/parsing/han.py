"""HAN: hybrid attention network for audio-visual video parsing, and its ablations.

Paper: Tian, Li, Xu, "Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video
    Parsing", ECCV 2020, https://arxiv.org/abs/2007.10558, and its workshop abstract
    "Weakly-Supervised Audio-Visual Video Parsing Toward Unified Multisensory Perception".
Authors' code: https://github.com/YapengTian/AVVP-ECCV20
Differences: see `CARD.differences`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Dropout, Even, Share, Size
from models.contract.card import (
    Departure,
    Experiment,
    ModelCard,
    PaperRow,
    ReleasedWeights,
    five,
)
from models.contract.config import TrainConfig
from models.data.source import ClipSource
from models.nets.losses import clip_loss, guided_terms, modality_clips, modality_targets, with_total
from models.nets.parsing.layers import HybridAttention, ParsingModel
from models.nets.small_sets import settings_for_few
from models.tasks.parsing import Parsing
from models.training.method import NetMethod

SMALL_SET = 500
"""With fewer training clips than this, and none of `TRAINING` given, settings are those for small
sets."""
SMALL_SETTINGS: Mapping[str, Any] = {
    "hidden": 64, "feedforward": 64, "learning_rate": 1e-3, "batch_size": 4, "decay_every": 20,
    "keep": "last",
}  # fmt: skip
"""Those settings: a net that does not learn the clips by heart, more steps an epoch, and no choice
among epochs by a handful of validation clips. Chosen with 84 to 112 training clips of the demo."""
TRAINING = ("epochs", "weight_decay", "dropout", "decay_factor", "schedule", *SMALL_SETTINGS)
"""Settings of which one that is not the paper's says that the user has chosen."""


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """HAN on LLP."""

    small: Literal["auto", "yes", "no"] = "auto"
    """Settings for few training clips in place of the paper's: auto takes them below 500 training
    clips when no setting of the training is given, yes takes them where none is given, no takes
    the paper's."""
    hidden: Annotated[int, Even(), AtLeast(2)] = 512
    """Width of the shared space, d in the paper; even."""
    feedforward: Size = 512
    """Width inside the feed-forward part."""
    dropout: Dropout = 0.1
    """In attention, residuals and the feed-forward part."""
    temporal: Literal["none", "gru", "transformer", "han"] = "han"
    """Temporal net between features and heads (table 2, rows 7 to 10)."""
    pooling: Literal["attentive", "max", "mean"] = "attentive"
    """How seconds become a clip probability (table 2, rows 3 to 5)."""
    terms: Literal["both", "wsl", "guided"] = "both"
    """Loss on the clip, on each modality, or both (table 2, rows 1 to 3)."""
    noise: Literal["none", "bootstrap", "smoothing"] = "smoothing"
    """What is done about labels that hold for one modality only (table 2, rows 11 to 13)."""
    smooth_audio: Share = 0.0
    """Smoothing of the audio labels, epsilon_a."""
    smooth_visual: Share = 0.1
    """Smoothing of the visual labels, epsilon_v."""
    bootstrap: Literal["soft", "hard"] = "soft"
    """What a bootstrapped target mixes with the label: the model's probability, through which the
    gradient goes, or its decision at 0.5."""
    bootstrap_beta: Share = 0.95
    """Share of the label in a bootstrapped target; Reed et al. 2014 take 0.95 with the soft form
    and 0.8 with the hard one."""


class Recurrent(nn.Module):
    """One bidirectional GRU per modality, half the width per direction."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        half = config.hidden // 2
        self.audio = nn.GRU(config.hidden, half, batch_first=True, bidirectional=True)
        self.visual = nn.GRU(config.hidden, half, batch_first=True, bidirectional=True)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Run each modality [B, T, D] through its own net."""
        return self.audio(audio)[0], self.visual(visual)[0]


class Transformer(nn.Module):
    """One transformer encoder layer per modality, with weights of its own."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        shape = (config.hidden, 1, config.feedforward, config.dropout)
        self.audio = nn.TransformerEncoderLayer(*shape, batch_first=True)
        self.visual = nn.TransformerEncoderLayer(*shape, batch_first=True)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Run each modality [B, T, D] through its own layer."""
        return self.audio(audio), self.visual(visual)


class Model(ParsingModel):
    """Features, temporal net, heads."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.hidden, config.classes, config.pooling)
        self.hat_encoder: nn.Module | None = None
        if config.temporal == "han":
            self.hat_encoder = HybridAttention(config.hidden, config.feedforward, config.dropout)
        elif config.temporal == "gru":
            self.hat_encoder = Recurrent(config)
        elif config.temporal == "transformer":
            self.hat_encoder = Transformer(config)

    def forward(self, batch: Batch) -> Outputs:
        """Map `vggish` [B, T, 128], `resnet152` [B, T, 2048], `r2plus1d` [B, T, 512] to Outputs."""
        audio, visual = self.embed(batch)
        if self.hat_encoder is not None:
            audio, visual = self.hat_encoder(audio, visual)
        return self.pool(audio, visual)


class Loss(nn.Module):
    """Cross-entropy of the clip probability and of each modality's, the latter denoised."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `video`, `audio`, `visual` (those that the settings name) and `total`."""
        terms = {}
        if self.config.terms != "guided":
            terms["video"] = clip_loss(outputs.clip, batch.labels)
        if self.config.terms != "wsl":
            terms |= guided_terms(outputs, self.targets(outputs, batch))
        return with_total(terms)

    def targets(self, outputs: Outputs, batch: Batch) -> list[Tensor]:
        """Return denoised targets for the modalities' clip probabilities, [B, C] each."""
        if self.config.noise == "smoothing":
            return modality_targets(batch, self.config.smooth_audio, self.config.smooth_visual)
        labels = modality_targets(batch, 0.0, 0.0)
        if self.config.noise == "none":
            return labels
        keep = self.config.bootstrap_beta
        return [
            keep * label + (1.0 - keep) * self.own_target(probability)
            for label, probability in zip(labels, modality_clips(outputs), strict=True)
        ]

    def own_target(self, probability: Tensor) -> Tensor:
        """Return what a bootstrapped target takes of the model's clip probabilities [B, C]."""
        if self.config.bootstrap == "hard":
            return (probability.detach() >= 0.5).to(probability.dtype)
        return probability


def adapt(config: Config, data: ClipSource) -> Config:
    """Return the settings with those for small sets, when there are few training clips."""
    return settings_for_few(
        config, data, below=SMALL_SET, settings=SMALL_SETTINGS, chosen_by=TRAINING,
        otherwise="the paper's way",
    )  # fmt: skip


TIAN = "Tian et al. 2020"
CROSS_MODAL = "Cross-modal AVVP"


def _ablation(name: str, rows: str, numbers: tuple[float, ...], **settings: Any) -> Experiment:
    row = PaperRow(paper=TIAN, table="2", row=rows, numbers=five("segment", *numbers))
    return Experiment(name=name, settings=settings, rows=(row,))


PUBLISHED = (
    PaperRow(
        paper=TIAN, table="1", row="Ours",
        numbers=five("segment", 56.5, 53.6, 47.7, 52.6, 53.5)
        | five("event", 45.0, 47.5, 38.6, 43.7, 43.3),
    ),
    PaperRow(
        paper=TIAN, table="2", row="13: both, attentive, HAN, ours",
        numbers=five("segment", 56.5, 53.6, 47.7, 52.6, 53.5),
    ),
    PaperRow(
        paper=CROSS_MODAL, table="1 and 2", row="HAN [1]",
        numbers=five("segment", 60.1, 52.9, 48.9, 54.0, 55.4)
        | five("event", 51.3, 48.9, 43.0, 47.7, 48.0),
    ),
)  # fmt: skip
"""The workshop abstract's numbers, and those of the ECCV version as a later paper quotes them."""

UNUSED = (
    "audio_encoder",
    "visual_encoder",
    "cmt_encoder",
    "hat_encoder.norm1",
    "hat_encoder.norm2",
)
"""Modules of the authors' class that its forward pass never calls."""

CARD = ModelCard(
    name="han",
    title="Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video Parsing",
    paper="Tian, Li, Xu, ECCV 2020",
    url="https://arxiv.org/abs/2007.10558",
    code="https://github.com/YapengTian/AVVP-ECCV20",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("audio", "visual")),
    experiments=(
        Experiment(name="han", settings={}, rows=PUBLISHED),
        _ablation(
            "han-wsl", "1: wsl, attentive", (56.9, 16.4, 17.2, 30.2, 43.3),
            terms="wsl", temporal="none", noise="none",
        ),
        _ablation(
            "han-guided", "2: guided, attentive", (42.3, 43.9, 34.5, 40.3, 42.0),
            terms="guided", temporal="none", noise="none",
        ),
        _ablation(
            "han-attentive", "3, 6, 7: both, attentive", (45.1, 51.7, 35.0, 44.0, 48.9),
            temporal="none", noise="none",
        ),
        _ablation(
            "han-max", "4: both, max", (31.6, 43.6, 22.5, 32.6, 39.1),
            temporal="none", noise="none", pooling="max",
        ),
        _ablation(
            "han-mean", "5: both, mean", (40.2, 43.2, 35.0, 39.5, 39.7),
            temporal="none", noise="none", pooling="mean",
        ),
        _ablation(
            "han-gru", "8: both, attentive, GRU", (52.0, 49.4, 39.0, 46.8, 51.0),
            temporal="gru", noise="none",
        ),
        _ablation(
            "han-transformer", "9: both, attentive, Transformer", (51.2, 52.6, 40.7, 48.2, 51.5),
            temporal="transformer", noise="none",
        ),
        _ablation(
            "han-plain", "10, 11: both, attentive, HAN", (53.9, 52.8, 43.5, 50.1, 53.0),
            noise="none",
        ),
        _ablation(
            "han-bootstrap", "12: both, attentive, HAN, bootstrap",
            (45.0, 50.9, 35.0, 43.6, 48.2), noise="bootstrap",
        ),
        _ablation(
            "han-bootstrap-hard", "12: both, attentive, HAN, bootstrap",
            (45.0, 50.9, 35.0, 43.6, 48.2),
            noise="bootstrap", bootstrap="hard", bootstrap_beta=0.8,
        ),
    ),
    differences=(
        "The net is the one of the authors' code, not of the text: attention with projections, "
        "LayerNorm and a feed-forward part, one layer for both modalities, full cross-entropy.",
        "Parameters that the authors' class builds and never uses are not built.",
        "Max and mean pooling, the GRU (bidirectional, half the width per direction) and the "
        "bootstrap (on the two guided terms) are named in the paper but not defined; the "
        "definitions here are ours. The bootstrap follows Reed et al. 2014: han-bootstrap is its "
        "soft form with beta 0.95, han-bootstrap-hard its hard form with beta 0.8.",
        "With the guided loss alone the joint head is never trained, yet it still gates at "
        "evaluation as in the official code; --gate larger uses the modalities' own.",
        "With fewer than 500 training clips, and --small auto, the net is narrower, batches "
        "are smaller and the last epoch is kept.",
    ),
    released=ReleasedWeights(unused=UNUSED),
    departures=(
        Departure(
            says="structure: the pooling is defined by us, the paper only names it",
            settings={"pooling": ("max", "mean")},
        ),
        Departure(
            says="structure: the GRU is defined by us, the paper only names it",
            settings={"temporal": ("gru",)},
        ),
        Departure(
            says="loss: the bootstrap is defined by us, the paper only names it",
            settings={"noise": ("bootstrap",)},
        ),
    ),
)  # fmt: skip

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss, adapt=adapt)
