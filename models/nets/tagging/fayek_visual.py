"""Visual DNN on one vector per clip: the mean of its frames' ResNet-152 features.

Paper: Fayek, Kumar, "Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data",
    IJCAI 2020, https://arxiv.org/abs/2006.01595, section 3.2
Authors' code: none published.
Differences: see `CARD.differences`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Dropout, Rate, Size
from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.contract.config import TaggingConfig
from models.nets.losses import ClipLoss
from models.tasks.tagging import Tagging
from models.training.method import NetMethod

WIDTHS = (2048, 2048, 1024, 1024)
"""Units of the four hidden layers; dropout follows the first two."""


@dataclass(frozen=True, kw_only=True)
class Config(TaggingConfig):
    """The visual DNN on AudioSet."""

    epochs: Size = 20
    """Number of epochs."""
    batch_size: Size = 144
    """Clips per forward pass, in each process."""
    learning_rate: Rate = 1e-4
    """Adam's learning rate; the paper chooses it by validation and does not print it."""
    decay_factor: Rate = 1.0
    """Factor of each decay; 1 keeps the learning rate."""
    dropout: Dropout = 0.3
    """Behind the first and the second hidden layer."""


def mean_over_seconds(values: Tensor, present: Tensor) -> Tensor:
    """Average the seconds that are there: [B, T, D] and [B, T] to [B, D]; zero without any."""
    weight = present.to(values.dtype)[..., None]
    return (values * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)


class Model(nn.Module):
    """Fully connected: 2048, 2048, 1024, 1024 and the classes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 2048
        for index, width in enumerate(WIDTHS):
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            layers += [nn.Dropout(config.dropout)] if index < 2 else []
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, config.classes))

    def forward(self, batch: Batch) -> Outputs:
        """Map `resnet152` [B, T, 2048] to the clip's probabilities."""
        clip = mean_over_seconds(batch.features["resnet152"], batch.present["resnet152"])
        scores = torch.sigmoid(self.layers(clip).float())
        return Outputs(clip=scores, clip_visual=scores)


Loss = ClipLoss


def _row(table: str, row: str) -> PaperRow:
    numbers = {"map": 25.73, "mauc": 91.30}
    return PaperRow(paper="Fayek, Kumar 2020", table=table, row=row, numbers=numbers)


CARD = ModelCard(
    name="fayek_visual",
    title="Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data",
    paper="Fayek, Kumar, IJCAI 2020",
    url="https://arxiv.org/abs/2006.01595",
    code="",
    needs=("resnet152",),
    dataset="audioset",
    task=Tagging(modalities=("visual",), selection_metric="map"),
    experiments=(
        Experiment(
            name="fayek_visual",
            settings={},
            rows=(_row("2", "Visual"), _row("3", "Visual (Ours)")),
        ),
    ),
    differences=(
        "The clip's vector is the mean over all stored frames, 8 a second, not over 64 a clip.",
        "Units 2048, 2048, 1024, 1024 are read as the four hidden layers, with the output layer "
        "behind them.",
        "The learning rate is chosen by validation in the paper and not printed; here 1e-4.",
    ),
    departures=(
        Departure(
            says="front end: the mean over 8 frames a second, where the paper takes 64 "
            "frames of a clip"
        ),
    ),
    ours=(
        "learning_rate",
        "decay_every",
        "decay_factor",
        "schedule",
        "weight_decay",
    ),
    train_splits=("unbalanced_train",),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss)
