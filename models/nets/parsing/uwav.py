"""UWAV: HAN trained on uncertain labels of the seconds, weighted by class, with mixed seconds.

Paper: Lai, Ebbers, Wang, Germain, Jones, Chatterjee, "UWAV: Uncertainty-weighted Weakly-supervised
    Audio-Visual Video Parsing", CVPR 2025, https://arxiv.org/abs/2505.09615
Authors' code: https://github.com/Franklin905/UWAV
Differences: see `CARD.differences`.

This is the second stage, the net that parses. The first stage, a transformer over CLIP and CLAP
features that is trained on the data set UnAV-100 and gives the labels, is not built here: the
store's table `pseudo_labels` may come from it (`beam import-labels`) or from CLIP and CLAP alone.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Dropout, Rate, Seed, Size, Weight
from models.contract.card import (
    Departure,
    Experiment,
    ModelCard,
    PaperRow,
    ReleasedWeights,
    five,
)
from models.contract.config import TrainConfig
from models.contract.task import Modality
from models.nets.losses import clip_loss, with_total
from models.nets.parsing.layers import ParsingModel
from models.nets.parsing.valor import LAI_2025, PRESENT, AlternatingAttention, refuse_heads
from models.tasks.parsing import Parsing
from models.training.method import NetMethod
from models.training.state import Training

MODALITIES: tuple[Modality, ...] = ("audio", "visual")


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """UWAV on LLP."""

    epochs: Size = 80
    """Number of epochs."""
    batch_size: Size = 64
    """Clips per forward pass, in each process."""
    learning_rate: Rate = 1e-4
    """Learning rate after the warm-up."""
    optimizer: Literal["adam", "adamw"] = "adamw"
    """AdamW takes the weight decay off the weights."""
    weight_decay: Weight = 1e-4
    """L2 penalty on the weights."""
    max_grad_norm: Weight = 1.0
    """Norm that the gradients of all weights together are scaled down to."""
    schedule: Literal["step", "cosine", "warmup-cosine"] = "warmup-cosine"
    """Learning rate over the epochs."""
    warmup_epochs: Annotated[int, AtLeast(0)] = 10
    """Epochs of the warm-up."""
    min_learning_rate: Weight = 5e-6
    """Learning rate at the end."""
    seed: Seed = 20_000
    """Seed of initial weights, order of clips, dropout and mixing."""
    hidden: Size = 512
    """Width of the shared space."""
    feedforward: Size = 2048
    """Width inside the feed-forward part."""
    heads: Size = 16
    """Attention heads."""
    layers: Size = 5
    """Layers of hybrid attention."""
    dropout: Dropout = 0.1
    """In attention, residuals and the feed-forward part."""
    soft: bool = True
    """Take the teachers' scores as labels, not their decisions."""
    label_temperature: Rate = 2.0
    """Divides the logit of a score before it becomes a label; the authors' program takes 2, the
    paper's equation 12 takes 1."""
    reweight: bool = True
    """Weigh weak labels by how rare a positive second is, other classes by how frequent it is."""
    positive_weight: Rate = 0.5
    """W in the paper: further weight of the weak labels."""
    mixup: bool = True
    """Also classify mixtures of two seconds."""
    mixup_alpha: Rate = 1.7
    """Both parameters of the beta distribution that a mixture's share is drawn from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_heads(self.hidden, self.heads)


class Projection(nn.Module):
    """One or more linear layers with ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        pairs = pairwise(widths)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairs)

    def forward(self, values: Tensor) -> Tensor:
        """Map [..., widths[0]] to [..., widths[-1]]."""
        for layer in self.layers[:-1]:
            values = F.relu(layer(values))
        last: Tensor = self.layers[-1](values)
        return last


class Model(ParsingModel):
    """HAN of several layers; in training it also classifies mixtures of seconds."""

    def __init__(self, config: Config) -> None:
        nn.Module.__init__(self)
        width, classes = config.hidden, config.classes
        self.pooling, self.config = "attentive", config
        self.fc_a = Projection(128, 2 * width, width)
        self.fc_fusion = Projection(2048 + 512, width)
        self.fc_prob = nn.Linear(width, classes)
        self.fc_frame_att = Projection(width, classes)
        self.fc_av_att = Projection(width, classes)
        self.hat_encoder = AlternatingAttention(
            width, config.feedforward, config.dropout, layers=config.layers, heads=config.heads
        )

    def fuse(self, frames: Tensor, motion: Tensor) -> Tensor:
        """Map frame features [B, T, 2048], or those of each frame, and motion [B, T, 512]."""
        frames = frames if frames.ndim == 3 else frames.mean(dim=2)
        fused: Tensor = self.fc_fusion(torch.cat([frames, motion], dim=-1))
        return fused

    def forward(self, batch: Batch) -> Outputs:
        """Map features as for HAN to Outputs with `extra["logits"]` [B, T, 2, C].

        In training also `mixed` [2, B * T, C], the logits of mixtures of each modality's seconds,
        `order` [2, B * T], the second that each is mixed with, and `share` [2], its own share.
        """
        heard, seen = self.hat_encoder(*self.embed(batch))
        extra = {}
        if self.training and self.config.mixup:
            mixed = [self.mix(values.flatten(0, 1)) for values in (heard, seen)]
            parts = zip(("mixed", "order", "share"), zip(*mixed, strict=True), strict=True)
            extra = {name: torch.stack(values) for name, values in parts}
        return self.pool(heard, seen, **extra)

    def mix(self, seconds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of mixtures of seconds [N, D], the order of the other ones, the share."""
        alpha = torch.tensor(self.config.mixup_alpha, device=seconds.device)
        share = torch.distributions.Beta(alpha, alpha).sample()
        order = torch.randperm(len(seconds), device=seconds.device)
        return self.fc_prob(share * seconds + (1 - share) * seconds[order]), order, share


class Loss(nn.Module):
    """Cross-entropy of the clip, of every second with soft labels, and of mixed seconds."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.frequency: Tensor
        self.register_buffer("frequency", torch.zeros(2, config.classes, dtype=torch.float64))

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `video`, `audio`, `visual`, with mixing `mixed_*`, and `total`."""
        terms = {"video": clip_loss(outputs.clip, batch.labels)}
        for place, modality in enumerate(MODALITIES):
            logits, labels = outputs.extra["logits"][:, :, place], self.labels(batch, modality)
            each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
            terms[modality] = (each * self.weights(batch, place).to(each.dtype)).mean()
            if "mixed" in outputs.extra:
                terms[f"mixed_{modality}"] = mixed_loss(outputs, labels.flatten(0, 1), place)
        return with_total(terms)

    def labels(self, batch: Batch, modality: str) -> Tensor:
        """Return the labels of the seconds, [B, T, C]; 0 for what is no weak label."""
        score, weak = batch.pseudo_labels[modality], batch.labels[:, None]
        if self.config.soft:
            labels = torch.sigmoid(torch.logit(score) / self.config.label_temperature)
        else:
            labels = (score > PRESENT).to(score.dtype)
        return labels.to(weak.dtype) * weak

    def weights(self, batch: Batch, place: int) -> Tensor:
        """Return the weight of each class of a clip, [B, 1, C]."""
        weak = batch.labels[:, None]
        if not self.config.reweight:
            return torch.ones_like(weak)
        positive = self.frequency[place].sum()
        negative = self.frequency.shape[1] - positive
        return torch.where(weak > 0.5, negative * self.config.positive_weight, positive)


def mixed_loss(outputs: Outputs, labels: Tensor, place: int) -> Tensor:
    """Return the cross-entropy of mixed seconds with both labels [N, C] by their shares."""
    mixed, share = outputs.extra["mixed"][place], outputs.extra["share"][place]
    other = labels[outputs.extra["order"][place].long()]
    own_term = F.binary_cross_entropy_with_logits(mixed, labels)
    return share * own_term + (1 - share) * F.binary_cross_entropy_with_logits(mixed, other)


def prepare(training: Training) -> None:
    """Count how often each class is positive in the seconds of the training clips."""
    loss, data = training.loss, training.data
    assert isinstance(loss, Loss)
    rows = data.rows("train")
    labels = data.pseudo_labels_of(rows)
    shares = [(labels[modality] > PRESENT).double().mean(dim=(0, 1)) for modality in MODALITIES]
    loss.frequency.copy_(torch.stack(shares))


def _ablation(
    name: str, row: str, segment: tuple[float, ...], event: tuple[float, ...], **settings: Any
) -> Experiment:
    numbers = five("segment", *segment) | five("event", *event)
    found = PaperRow(paper=LAI_2025, table="A8", row=row, numbers=numbers)
    return Experiment(name=name, settings=settings, rows=(found,))


CARD = ModelCard(
    name="uwav",
    title="UWAV: Uncertainty-weighted Weakly-supervised Audio-Visual Video Parsing",
    paper="Lai, Ebbers, Wang, Germain, Jones, Chatterjee, CVPR 2025",
    url="https://arxiv.org/abs/2505.09615",
    code="https://github.com/Franklin905/UWAV",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    task=Parsing(modalities=MODALITIES),
    experiments=(
        Experiment(
            name="uwav",
            settings={},
            rows=(
                PaperRow(
                    paper=LAI_2025,
                    table="1",
                    row="UWAV (ours)",
                    numbers=five("segment", 64.2, 70.0, 63.4, 65.9, 63.9)
                    | five("event", 58.6, 66.7, 57.5, 60.9, 57.4),
                ),
            ),
        ),
        _ablation(
            "uwav-binary", "binary", (62.7, 67.7, 61.9, 64.2, 62.2),
            (56.9, 64.9, 56.6, 59.5, 55.8),
            soft=False, reweight=False, mixup=False,
        ),
        _ablation(
            "uwav-soft", "soft", (63.0, 68.3, 61.8, 64.4, 62.8),
            (56.9, 65.2, 55.9, 59.3, 56.1), reweight=False, mixup=False
        ),
        _ablation(
            "uwav-reweight", "soft, re-weight", (63.6, 69.5, 63.0, 65.4, 63.1),
            (57.9, 66.4, 57.0, 60.4, 56.9), mixup=False
        ),
        _ablation("uwav-mixup", "soft, mixup", (63.9, 69.0, 62.8, 65.2, 63.4),
            (57.7, 65.6, 56.3, 59.9, 56.8), reweight=False,
        ),
    ),
    differences=(
        "The stage that makes the labels is not built: a transformer over CLIP and CLAP features, "
        "which is trained on those of UnAV-100, 10,790 videos of any length, and then runs over "
        "LLP's. Its authors publish its code and those features; their page names neither its "
        "weights nor its labels. Labels come from the store's table pseudo_labels.",
        "Scores of the table are already cut at the class's threshold, so a class without one is "
        "the teacher's matter.",
        "Of epochs with equal validation scores the later is kept, in the authors' program the "
        "earlier.",
    ),
    released=ReleasedWeights(unused=("hat_encoder.final_norm_a", "hat_encoder.final_norm_v")),
    departures=(
        Departure(
            says="pseudo labels: those of the paper's pre-trained transformer are not made here"
        ),
    ),
)  # fmt: skip

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, prepare=prepare,
    pseudo_labels=True,
)  # fmt: skip
