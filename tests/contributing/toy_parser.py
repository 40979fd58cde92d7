"""A net that parses audio, written by following CONTRIBUTING: one linear layer per second.

Paper: none; it shows what the file of a net must hold.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.card import Experiment, ModelCard, PaperRow
from models.contract.config import TrainConfig
from models.nets.losses import clip_loss, with_total
from models.tasks.parsing import Parsing
from models.training.method import NetMethod


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """The toy's settings are those of every net."""


class Model(nn.Module):
    """One linear layer over VGGish."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.classify = nn.Linear(128, config.classes)

    def forward(self, batch: Batch) -> Outputs:
        """`vggish` [B, T, 128] to Outputs without a visual part."""
        second = torch.sigmoid(self.classify(batch.features["vggish"]))
        clip = second.mean(dim=1)
        return Outputs(clip=clip, clip_audio=clip, audio=second)


class Loss(nn.Module):
    """Cross-entropy of the clip probability."""

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Terms `audio` and `total`."""
        return with_total({"audio": clip_loss(outputs.clip, batch.labels)})


CARD = ModelCard(
    name="toy_parser",
    title="A toy that parses",
    paper="none",
    url="https://example.org/toy-parser",
    code="",
    needs=("vggish",),
    dataset="demo",
    task=Parsing(modalities=("audio",)),
    experiments=(
        Experiment(
            name="toy_parser",
            settings={},
            rows=(PaperRow(paper="no paper", table="none", row="toy", numbers={}),),
        ),
    ),
    differences=(),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss)
