"""A net that parses tones by their zero crossings: one linear layer per second.

Paper: none; it shows a net over the feature of a new extractor.
"""

from dataclasses import dataclass

import torch
from torch import nn

from models.contract.batch import Batch, Outputs
from models.contract.card import Experiment, ModelCard, PaperRow
from models.contract.config import TrainConfig
from models.nets.losses import ClipLoss
from models.tasks.parsing import Parsing
from models.training.method import NetMethod


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """The toy's settings are those of every net."""


class Model(nn.Module):
    """One linear layer over the zero crossings of each half second, scaled to about -0.5 to 0.5."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.classify = nn.Linear(2, config.classes)

    def forward(self, batch: Batch) -> Outputs:
        """`crossings` [B, T, 2] to Outputs without a visual part."""
        second = torch.sigmoid(self.classify(batch.features["crossings"] / 1000 - 0.5))
        clip = second.mean(dim=1)
        return Outputs(clip=clip, clip_audio=clip, audio=second)


CARD = ModelCard(
    name="toy_tones",
    title="A toy that parses tones",
    paper="none",
    url="https://example.org/toy-tones",
    code="",
    needs=("crossings",),
    dataset="tones",
    task=Parsing(modalities=("audio",)),
    experiments=(
        Experiment(
            name="toy_tones",
            settings={},
            rows=(PaperRow(paper="no paper", table="none", row="toy", numbers={}),),
        ),
    ),
    differences=(),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=ClipLoss)
