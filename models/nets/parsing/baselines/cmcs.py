"""CMCS: the temporal action localisation baseline of audio-visual video parsing.

Paper: the row "CMCS" of Tian, Li, Xu, ECCV 2020, https://arxiv.org/abs/2007.10558; the net is from
    Liu, Jiang, Wang, "Completeness Modeling and Context Separation for Weakly Supervised Temporal
    Action Localization", CVPR 2019.
Authors' code: https://github.com/Finspire13/CMCS-Temporal-Action-Localization
Differences: see `CARD.differences`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Dropout, Rate, Size, Weight
from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.contract.config import TrainConfig
from models.data.source import ClipSource
from models.nets.losses import clip_loss, with_total
from models.nets.parsing.layers import VisualFusion
from models.nets.small_sets import settings_for_few
from models.tasks.parsing import Parsing
from models.training.method import NetMethod

SMALL_SET = 500
"""With fewer training clips than this, and none of `TRAINING` given, settings are those for small
sets."""
SMALL_SETTINGS: Mapping[str, Any] = {
    "hidden": 64, "learning_rate": 1e-3, "batch_size": 8, "epochs": 60, "keep": "last",
}  # fmt: skip
"""Those settings: with the paper's, a few hundred clips bring so few steps that the net predicts
next to nothing (docs/avvp.md)."""
TRAINING = ("decay_factor", "schedule", "weight_decay", "dropout", *SMALL_SETTINGS)
"""Settings of which one that is not the paper's says that the user has chosen."""


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """CMCS on LLP's visual features."""

    small: Literal["auto", "yes", "no"] = "auto"
    """Settings for few training clips in place of the paper's: auto takes them below 500 training
    clips when no setting of the training is given, yes takes them where none is given, no takes
    the paper's."""
    epochs: Size = 36
    """About the authors' 15,000 steps of 24 clips on LLP's 10,000 training clips."""
    batch_size: Size = 24
    """Clips per step."""
    learning_rate: Rate = 1e-4
    """Adam's learning rate."""
    decay_factor: Rate = 1.0
    """The learning rate stays."""
    weight_decay: Weight = 1e-3
    """L2 penalty that Adam adds to the gradients."""
    hidden: Size = 512
    """Width of the fused visual feature."""
    embed: Size = 256
    """Filters of the embedding."""
    branch: Size = 128
    """Filters of each branch."""
    branches: Annotated[int, AtLeast(2)] = 4
    """Classification branches, K, at least 2."""
    dropout: Dropout = 0.5
    """Share of input channels that are dropped whole."""
    diversity_weight: Weight = 0.2
    """Weight of the term that keeps branches apart."""
    norm_weight: Weight = 0.2
    """Weight of the term that keeps branches equally strong."""


class Model(VisualFusion):
    """Several classifiers over time whose mean covers whole events, and attention over time."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.hidden)
        wide = config.branch
        self.drop = nn.Dropout1d(config.dropout)
        self.embed = nn.Conv1d(config.hidden, config.embed, 1)
        self.branches = nn.ModuleList(
            _head(config.embed, wide, 3, config.classes) for _ in range(config.branches)
        )
        self.attention = _head(config.embed, wide, 1, 1)

    def forward(self, batch: Batch) -> Outputs:
        """Map `resnet152` [B, T, 2048], `r2plus1d` [B, T, 512] to Outputs without an audio part."""
        visual = self.fuse(batch.features["resnet152"], batch.features["r2plus1d"])
        hidden = F.relu(self.embed(self.drop(visual.transpose(1, 2))))  # [B, E, T]
        branches = torch.stack([branch(hidden) for branch in self.branches], dim=1)  # [B, K, C, T]
        mean = branches.mean(dim=1)
        weight = torch.softmax(self.attention(hidden), dim=2)  # [B, 1, T]
        clip = torch.sigmoid((weight * mean).sum(dim=2))
        second = torch.sigmoid(mean).transpose(1, 2)
        return Outputs(clip=clip, clip_visual=clip, visual=second, extra={"branches": branches})


def _head(width: int, inner: int, kernel: int, out: int) -> nn.Sequential:
    convolution = nn.Conv1d(width, inner, kernel, padding=kernel // 2)
    return nn.Sequential(convolution, nn.ReLU(), nn.Conv1d(inner, out, 1))


class Loss(nn.Module):
    """Cross-entropy of the clip, branches that differ, branches of equal strength."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `visual`, `diversity`, `norm` and `total`."""
        branches = outputs.extra["branches"]
        return with_total(
            {
                "visual": clip_loss(outputs.clip, batch.labels),
                "diversity": self.config.diversity_weight * diversity(branches),
                "norm": self.config.norm_weight * imbalance(branches),
            }
        )


def diversity(branches: Tensor) -> Tensor:
    """Return the likeness of branches [B, K, C, T]: cosine of their time curves, mean over pairs.

    The curves are softmaxed over the classes; negative cosines count as 0.
    """
    curves = F.normalize(torch.softmax(branches, dim=2), dim=3)
    likeness = F.relu(torch.einsum("bkct,bjct->bckj", curves, curves))
    count = branches.shape[1]
    others = 1.0 - torch.eye(count, device=branches.device)
    return (likeness * others).sum(dim=(2, 3)).mean() / (count * (count - 1))


def imbalance(branches: Tensor) -> Tensor:
    """Return the spread of the mean absolute values of branches [B, K, C, T] round their mean."""
    strength = branches.abs().mean(dim=3)  # [B, K, C]
    return (strength - strength.mean(dim=1, keepdim=True)).abs().mean()


def adapt(config: Config, data: ClipSource) -> Config:
    """Return the settings with those for small sets, when there are few training clips."""
    return settings_for_few(
        config, data, below=SMALL_SET, settings=SMALL_SETTINGS, chosen_by=TRAINING,
        otherwise="the paper's way",
    )  # fmt: skip


CARD = ModelCard(
    name="cmcs",
    title="Completeness Modeling and Context Separation for Weakly Supervised Temporal Action "
    "Localization",
    paper="Liu, Jiang, Wang, CVPR 2019, as a baseline in Tian, Li, Xu, ECCV 2020",
    url="https://arxiv.org/abs/2007.10558",
    code="https://github.com/Finspire13/CMCS-Temporal-Action-Localization",
    needs=("resnet152", "r2plus1d"),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("visual",)),
    experiments=(
        Experiment(
            name="cmcs",
            settings={},
            rows=(
                PaperRow(
                    paper="Tian et al. 2020",
                    table="1",
                    row="Visual: CMCS [4]",
                    numbers={"segment_visual": 48.1, "event_visual": 45.1},
                ),
            ),
        ),
    ),
    differences=(
        "With fewer than 500 training clips, and --small auto, the net is narrower, batches are "
        "smaller and the last epoch is kept.",
        "LLP clips have several labels: sigmoid and binary cross-entropy replace the softmax over "
        "classes, and there is no background class.",
        "The input is HAN's fused visual feature, seconds are decided at probability 0.5, and the "
        "gradient is taken over 24 clips at once instead of accumulated.",
    ),
    departures=(
        Departure(
            says="structure: sigmoids and binary cross-entropy, where the paper's net has "
            "a softmax with a background class"
        ),
    ),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss, adapt=adapt)
