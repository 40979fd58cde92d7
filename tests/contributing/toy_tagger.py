"""A net that tags pictures, written by following CONTRIBUTING: one linear layer per clip.

Paper: none; it shows what the file of a net must hold.
"""

from dataclasses import dataclass

import torch
from torch import nn

from models.contract.batch import Batch, Outputs
from models.contract.card import Experiment, ModelCard, PaperRow
from models.contract.config import TaggingConfig
from models.nets.losses import ClipLoss
from models.tasks.tagging import Tagging
from models.training.method import NetMethod


@dataclass(frozen=True, kw_only=True)
class Config(TaggingConfig):
    """The toy's settings are those of every net that tags."""


class Model(nn.Module):
    """One linear layer over the mean R(2+1)D feature."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.classify = nn.Linear(512, config.classes)

    def forward(self, batch: Batch) -> Outputs:
        """`r2plus1d` [B, T, 512] to the clip's probabilities."""
        clip = torch.sigmoid(self.classify(batch.features["r2plus1d"].mean(dim=1)))
        return Outputs(clip=clip, clip_visual=clip)


CARD = ModelCard(
    name="toy_tagger",
    title="A toy that tags",
    paper="none",
    url="https://example.org/toy-tagger",
    code="",
    needs=("r2plus1d",),
    dataset="folder",
    task=Tagging(modalities=("visual",), selection_metric="map"),
    experiments=(
        Experiment(
            name="toy_tagger",
            settings={},
            rows=(PaperRow(paper="no paper", table="none", row="toy", numbers={}),),
        ),
    ),
    differences=(),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=ClipLoss)
