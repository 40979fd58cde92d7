"""TALNet on VGGish: the sound event detection baseline of audio-visual video parsing.

Paper: the row "TALNet" of Tian, Li, Xu, ECCV 2020, https://arxiv.org/abs/2007.10558; the net is
    from Wang, Li, Metze, "A comparison of five multiple instance learning pooling functions for
    sound event detection with weak labeling", ICASSP 2019.
Authors' code: https://github.com/MaigoAkisame/cmu-thesis
Differences: see `CARD.differences`.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Even
from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.contract.config import TrainConfig
from models.nets.losses import clip_loss, with_total
from models.tasks.parsing import Parsing
from models.training.method import NetMethod


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """TALNet on LLP's audio features."""

    hidden: Annotated[int, Even(), AtLeast(2)] = 512
    """Width of the projected features and of the two GRU directions together; even."""


def linear_softmax(second: Tensor) -> Tensor:
    """Pool probabilities over time with themselves as weights: [B, T, C] to [B, C]."""
    return (second * second).sum(dim=1) / second.sum(dim=1).clamp_min(1e-7)


class Model(nn.Module):
    """Projection, bidirectional GRU, a probability per second, linear softmax pooling."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.hidden
        self.project = nn.Linear(128, width)
        self.recurrent = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)
        self.classify = nn.Linear(width, config.classes)

    def forward(self, batch: Batch) -> Outputs:
        """Map `vggish` [B, T, 128] to Outputs without a visual part."""
        hidden, _ = self.recurrent(self.project(batch.features["vggish"]))
        second = torch.sigmoid(self.classify(hidden)).clamp(1e-7, 1 - 1e-7)
        clip = linear_softmax(second)
        return Outputs(clip=clip, clip_audio=clip, audio=second)


class Loss(nn.Module):
    """Cross-entropy of the clip probability."""

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `audio` and `total`."""
        return with_total({"audio": clip_loss(outputs.clip, batch.labels)})


CARD = ModelCard(
    name="talnet",
    title="A comparison of five multiple instance learning pooling functions for sound event "
    "detection with weak labeling",
    paper="Wang, Li, Metze, ICASSP 2019, as a baseline in Tian, Li, Xu, ECCV 2020",
    url="https://arxiv.org/abs/2007.10558",
    code="https://github.com/MaigoAkisame/cmu-thesis",
    needs=("vggish",),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("audio",)),
    experiments=(
        Experiment(
            name="talnet",
            settings={},
            rows=(
                PaperRow(
                    paper="Tian et al. 2020",
                    table="1",
                    row="Audio: TALNet [13]",
                    numbers={"segment_audio": 50.0, "event_audio": 41.7},
                ),
            ),
        ),
    ),
    differences=(
        "The paper says only that baselines use its features: the convolutions over log-mel are "
        "replaced by a projection of VGGish, trained with HAN's schedule.",
    ),
    departures=(
        Departure(
            says="front end: VGGish is projected, where the paper's net has convolutions "
            "over log-mel"
        ),
    ),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss)
