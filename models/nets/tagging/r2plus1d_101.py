"""R(2+1)D-101 on video: the visual model that Fayek & Kumar compare with.

Paper: Wang, Tran, Feiszli, "What makes training multi-modal classification networks hard?",
    https://arxiv.org/abs/1905.12681; the row is in Fayek, Kumar, IJCAI 2020,
    https://arxiv.org/abs/2006.01595, table 3
Authors' code: https://github.com/facebookresearch/VMZ
Differences: see `CARD.differences`.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Dropout, Rate, Size
from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.contract.config import TaggingConfig
from models.nets.losses import ClipLoss
from models.nets.tagging.fayek_visual import mean_over_seconds
from models.tasks.tagging import Tagging
from models.training.method import NetMethod

BLOCKS = (3, 4, 23, 3)
"""Bottleneck blocks of the four stages of depth 101."""


@dataclass(frozen=True, kw_only=True)
class Config(TaggingConfig):
    """R(2+1)D on AudioSet's video."""

    epochs: Size = 20
    """Number of epochs."""
    learning_rate: Rate = 1e-3
    """Adam's learning rate at the start."""
    schedule: Literal["step", "cosine"] = "cosine"
    """Learning rate over the epochs."""
    trunk: Literal["stored", "frames"] = "stored"
    """What the classes are read from: the stored features `r2plus1d` of the net of depth 18, or 16
    frames that the net of depth 101 sees itself (feature `frames`, which no extractor stores)."""
    dropout: Dropout = 0.3
    """Before the last layer."""


def trunk() -> nn.Module:
    """Return R(2+1)D of depth 101 without its last layer: [B, 3, 16, 112, 112] to [B, 2048]."""
    from torchvision.models.video import resnet  # 2 s and 100 MB that no other model needs

    makers: Any = [resnet.Conv2Plus1D] * len(BLOCKS)
    net = resnet.VideoResNet(resnet.Bottleneck, makers, list(BLOCKS), resnet.R2Plus1dStem)
    net.fc = nn.Identity()
    return net


class Model(nn.Module):
    """One vector per clip, and a linear layer to the classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.trunk = trunk() if config.trunk == "frames" else None
        width = 512 if self.trunk is None else 2048
        self.classify = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, config.classes))

    def forward(self, batch: Batch) -> Outputs:
        """Map `r2plus1d` [B, T, 512], or `frames` [B, 1, 3, 16, 112, 112], to the probabilities."""
        if self.trunk is None:
            vector = mean_over_seconds(batch.features["r2plus1d"], batch.present["r2plus1d"])
        else:
            vector = cast(Tensor, self.trunk(batch.features["frames"][:, 0]))
        scores = torch.sigmoid(self.classify(vector).float())
        return Outputs(clip=scores, clip_visual=scores)


Loss = ClipLoss


def needs(config: Config) -> tuple[str, ...]:
    """Return the stored features of the trunk, or the frames for it."""
    return ("r2plus1d",) if config.trunk == "stored" else ("frames",)


CARD = ModelCard(
    name="r2plus1d_101",
    title="What makes training multi-modal classification networks hard?",
    paper="Wang, Tran, Feiszli, CVPR 2020, as a baseline in Fayek, Kumar, IJCAI 2020",
    url="https://arxiv.org/abs/1905.12681",
    code="https://github.com/facebookresearch/VMZ",
    needs=("r2plus1d",),
    dataset="audioset",
    task=Tagging(modalities=("visual",), selection_metric="map"),
    experiments=(
        Experiment(
            name="r2plus1d_101",
            settings={},
            rows=(
                PaperRow(
                    paper="Fayek, Kumar 2020",
                    table="3",
                    row="Visual (R(2+1)D-101) [Wang et al., 2019a]",
                    numbers={"map": 18.80, "mauc": 91.80},
                ),
            ),
        ),
    ),
    differences=(
        "The tables hold features of R(2+1)D-18, not frames, so by default a linear layer is "
        "trained on these; the net of depth 101 is built with --trunk frames, for stores that hold "
        "16 frames of 112 x 112 a clip as a feature `frames`.",
        "Clip length, frame size and optimiser are not in the papers read; Adam with a cosine.",
    ),
    departures=(
        Departure(
            says="trunk: a linear layer on stored features of R(2+1)D-18, where the paper "
            "trains a net of depth 101 on pixels",
            settings={"trunk": ("stored",)},
        ),
        Departure(
            says="trunk: bottlenecks of torchvision's making on 112 x 112, where the "
            "paper's net has its own midplanes and frames of 224 x 224",
            settings={"trunk": ("frames",)},
        ),
    ),
    ours=(
        "epochs",
        "batch_size",
        "learning_rate",
        "decay_every",
        "decay_factor",
        "schedule",
        "weight_decay",
        "dropout",
    ),
    train_splits=("unbalanced_train",),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss, needs=needs)
