"""VALOR: HAN trained on the seconds' labels that CLIP and CLAP give, each for its own modality.

Paper: Lai, Chen, Wang, "Modality-Independent Teachers Meet Weakly-Supervised Audio-Visual Event
    Parser", NeurIPS 2023, https://arxiv.org/abs/2305.17343
Authors' code: https://github.com/Franklin905/VALOR
Differences: see `CARD.differences`.

The teachers' scores are the store's table `pseudo_labels` (`beam run labels`, or
`beam import-labels` for the published ones).
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Below, Dropout, Rate, Seed, Size, Weight
from models.contract.card import Departure, Experiment, ModelCard, PaperRow, ReleasedWeights, five
from models.contract.config import TrainConfig
from models.nets.losses import clip_loss, with_total
from models.nets.parsing.layers import HybridAttentionLayer, ParsingModel
from models.tasks.parsing import Parsing
from models.training.method import NetMethod
from schemas.features import FEATURES

INPUTS = {"vggish": ("vggish", "resnet152"), "clap": ("clap", "clip")}
"""Features of audio and of frames by the setting `inputs`."""
PRESENT = 0.5
"""A class is in a second for the teacher when its score is above this."""


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """VALOR on LLP."""

    epochs: Size = 60
    """Number of epochs."""
    batch_size: Size = 64
    """Clips per forward pass, in each process."""
    learning_rate: Rate = 1e-4
    """Learning rate after the warm-up."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """AdamW takes the weight decay off the weights."""
    weight_decay: Weight = 1e-3
    """L2 penalty on the weights."""
    beta1: Annotated[float, Below(0, 1)] = 0.5
    """Share of the running mean of the gradients that a step keeps."""
    max_grad_norm: Weight = 1.0
    """Norm that the gradients of all weights together are scaled down to."""
    schedule: Literal["step", "cosine", "warmup-cosine"] = "warmup-cosine"
    """Learning rate over the epochs."""
    warmup_epochs: Annotated[int, AtLeast(0)] = 10
    """Epochs of the warm-up."""
    min_learning_rate: Weight = 1e-6
    """Learning rate at the end."""
    seed: Seed = 1000
    """Seed of initial weights, order of clips and dropout."""
    hidden: Size = 512
    """Width of the shared space."""
    feedforward: Size = 1024
    """Width inside the feed-forward part."""
    heads: Size = 8
    """Attention heads."""
    layers: Size = 1
    """Layers of hybrid attention."""
    dropout: Dropout = 0.1
    """In attention, residuals and the feed-forward part."""
    inputs: Literal["vggish", "clap"] = "vggish"
    """What is read of audio and frames: vggish and resnet152, or clap and clip; r2plus1d always."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_heads(self.hidden, self.heads)


class AlternatingAttention(nn.Module):
    """Layers of hybrid attention that update the audio first, then the video from that audio."""

    def __init__(
        self, width: int, feedforward: int, dropout: float, *, layers: int, heads: int
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            HybridAttentionLayer(width, feedforward, dropout, heads) for _ in range(layers)
        )

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Update audio and visual features, [B, T, D] each."""
        for layer in self.layers:
            audio = layer(audio, visual)
            visual = layer(visual, audio)
        return audio, visual


class Model(ParsingModel):
    """HAN with more heads and layers."""

    def __init__(self, config: Config) -> None:
        self.audio, self.frames = INPUTS[config.inputs]
        widths = [math.prod(FEATURES[name].shape) for name in (self.audio, self.frames)]
        super().__init__(config.hidden, config.classes, inputs=(widths[0], widths[1], 512))
        self.hat_encoder = AlternatingAttention(
            config.hidden, config.feedforward, config.dropout,
            layers=config.layers, heads=config.heads,
        )  # fmt: skip

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Map the features of a batch to audio [B, T, D] and visual [B, T, D]."""
        visual = self.fuse(batch.features[self.frames], batch.features["r2plus1d"])
        return self.fc_a(batch.features[self.audio]), visual

    def forward(self, batch: Batch) -> Outputs:
        """Map features as for HAN to Outputs with `extra["logits"]` [B, T, 2, C]."""
        return self.pool(*self.hat_encoder(*self.embed(batch)))


class Loss(nn.Module):
    """Cross-entropy of the clip probability and of every second, with the teachers' labels."""

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `video`, `audio`, `visual` and `total`."""
        audio, visual = outputs.extra["logits"].unbind(dim=2)
        terms = {"video": clip_loss(outputs.clip, batch.labels)}
        for modality, logits in (("audio", audio), ("visual", visual)):
            labels = (batch.pseudo_labels[modality] > PRESENT).to(logits.dtype)
            terms[modality] = F.binary_cross_entropy_with_logits(logits, labels)
        return with_total(terms)


def needs(config: Config) -> tuple[str, ...]:
    """Return the features that are read with these settings."""
    return (*INPUTS[config.inputs], "r2plus1d")


def refuse_heads(hidden: int, heads: int) -> None:
    """Raise ValueError where the width is no multiple of the heads."""
    if hidden % heads:
        raise ValueError(f"hidden must be a multiple of heads, got {hidden} and {heads}")


LAI_2025 = "Lai et al. 2025"
"""The paper of UWAV, which quotes the numbers of those before it."""

CARD = ModelCard(
    name="valor",
    title="Modality-Independent Teachers Meet Weakly-Supervised Audio-Visual Event Parser",
    paper="Lai, Chen, Wang, NeurIPS 2023",
    url="https://arxiv.org/abs/2305.17343",
    code="https://github.com/Franklin905/VALOR",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("audio", "visual")),
    experiments=(
        Experiment(
            name="valor",
            settings={},
            rows=(
                PaperRow(
                    paper=LAI_2025,
                    table="1",
                    row="VALOR [20]",
                    numbers=five("segment", 61.8, 65.9, 58.4, 62.0, 61.5)
                    | five("event", 55.4, 62.6, 52.2, 56.7, 54.2),
                ),
            ),
        ),
        Experiment(
            name="valor+",
            settings={
                "hidden": 256, "layers": 4, "learning_rate": 3e-4, "min_learning_rate": 3e-6,
                "seed": 64,
            },
            rows=(
                PaperRow(
                    paper="Lai et al. 2023",
                    table="none",
                    row="VALOR+; no number openly readable where this was written",
                    numbers={},
                ),
            ),
        ),
        Experiment(
            name="valor++",
            settings={
                "hidden": 256, "layers": 4, "learning_rate": 3e-4, "min_learning_rate": 3e-6,
                "seed": 87, "inputs": "clap",
            },
            rows=(
                PaperRow(
                    paper=LAI_2025,
                    table="A6",
                    row="VALOR with CLIP and CLAP [17]",
                    numbers=five("segment", 68.1, 68.4, 61.9, 66.2, 66.8)
                    | five("event", 61.2, 64.7, 55.5, 60.4, 59.0),
                ),
            ),
        ),
    ),
    departures=(
        Departure(
            says="input: CLAP's embedding of each second, where the authors feed a map of the "
            "whole clip from before its projection",
            settings={"inputs": ("clap",)},
        ),
    ),
    differences=(
        "The epoch with the best validation segment Type@AV is kept; of equal ones the later, in "
        "the authors' program the earlier.",
    ),
    released=ReleasedWeights(unused=("hat_encoder.final_norm_a", "hat_encoder.final_norm_v")),
)  # fmt: skip

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, needs=needs, pseudo_labels=True
)
