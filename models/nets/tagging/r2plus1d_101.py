"""R(2+1)D-101 on pixels: the visual model that Fayek & Kumar compare with; and a linear probe.

Paper: Wang, Tran, Feiszli, "What makes training multi-modal classification networks hard?",
    https://arxiv.org/abs/1905.12681; the row is in Fayek, Kumar, IJCAI 2020,
    https://arxiv.org/abs/2006.01595, table 3
Authors' code: https://github.com/facebookresearch/VMZ
Differences: see `CARD.differences`.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Dropout, Rate, Size
from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.contract.config import PixelConfig
from models.nets.losses import ClipLoss
from models.nets.tagging.fayek_visual import mean_over_seconds
from models.nets.tagging.r2plus1d import R2Plus1D, mean_over_views, seen
from models.tasks.tagging import Tagging
from models.training.method import NetMethod

STORED_WIDTH = 512
"""Numbers of the stored feature `r2plus1d` of a second."""


@dataclass(frozen=True, kw_only=True)
class Config(PixelConfig):
    """R(2+1)D on AudioSet's video."""

    epochs: Size = 20
    """Number of epochs."""
    learning_rate: Rate = 1e-3
    """Adam's learning rate at the start."""
    schedule: Literal["step", "cosine", "warmup-cosine"] = "cosine"
    """Learning rate over the epochs."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of matrix products and convolutions in training."""
    trunk: Literal["frames", "stored"] = "frames"
    """What the classes are read from: pixels of stored frames (extractor `frames`), or the stored
    vectors `r2plus1d` of the net of depth 18, on which a linear layer is trained."""
    dropout: Dropout = 0.3
    """Before the last layer."""


class Model(nn.Module):
    """A vector per view, or one of the clip, and a linear layer to the classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.trunk = R2Plus1D(config.depth, config.width) if config.trunk == "frames" else None
        width = STORED_WIDTH if self.trunk is None else self.trunk.outputs
        self.classify = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, config.classes))

    def forward(self, batch: Batch) -> Outputs:
        """Map `frames` [B, V, F, S, S, 3], or `r2plus1d` [B, T, 512], to the probabilities."""
        if self.trunk is None:
            vector = mean_over_seconds(batch.features["r2plus1d"], batch.present["r2plus1d"])
            scores = torch.sigmoid(self.classify(vector).float())
        else:
            views = [torch.sigmoid(self.classify(one).float()) for one in seen(self.trunk, batch)]
            scores = mean_over_views(views, batch.present["frames"])
        return Outputs(clip=scores, clip_visual=scores)


Loss = ClipLoss


def needs(config: Config) -> tuple[str, ...]:
    """Return the frames, or the stored vectors for the probe."""
    return ("r2plus1d",) if config.trunk == "stored" else ("frames",)


ON_PIXELS = (
    Departure(
        says="frames: the recipe's eight a second, where the authors' program takes "
        "consecutive ones of thirty",
        settings={"trunk": ("frames",)},
    ),
    Departure(
        says="optimiser: Adam, where the authors' program has SGD with Nesterov momentum",
        settings={"trunk": ("frames",)},
    ),
)
"""What a net that is trained on pixels has otherwise than the authors' program."""

CARD = ModelCard(
    name="r2plus1d_101",
    title="What makes training multi-modal classification networks hard?",
    paper="Wang, Tran, Feiszli, CVPR 2020, as a baseline in Fayek, Kumar, IJCAI 2020",
    url="https://arxiv.org/abs/1905.12681",
    code="https://github.com/facebookresearch/VMZ",
    needs=("frames",),
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
        Experiment(
            name="r2plus1d_101-probe",
            settings={"trunk": "stored", "precision": "fp32"},
            rows=(
                PaperRow(
                    paper="no paper",
                    table="none",
                    row="r2plus1d_101-probe: a linear layer on stored vectors of R(2+1)D-18",
                    numbers={},
                ),
            ),
        ),
    ),
    differences=(
        "Scale jitter (shorter side 8/7 to 10/7 of the square), a random square, mirroring and a "
        "random time in training, ten views with the middle square at evaluation: as the authors' "
        "program does; the range of the jitter is chosen here.",
        "Frames come from the store, eight a second with the default recipe, so that 16 of them "
        "are two seconds.",
        "Clips, batches and learning rate are not in the papers read.",
    ),
    departures=(
        Departure(
            says="trunk: a linear layer on stored features of R(2+1)D-18, where the paper "
            "trains a net of depth 101 on pixels",
            settings={"trunk": ("stored",)},
        ),
        *ON_PIXELS,
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
