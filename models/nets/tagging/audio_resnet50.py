"""ResNet-50 on log-mel with attention over time: the audio model that Fayek & Kumar compare with.

Paper: Ford, Tang, Grondin, Glass, "A deep residual network for large-scale acoustic scene
    analysis", Interspeech 2019; the row is in Fayek, Kumar, IJCAI 2020, https://arxiv.org/abs/2006.01595,
    table 3
Authors' code: none published.
Differences: see `CARD.differences`.

Letters besides those of `models.contract.batch`: F frames of 10 ms, S steps of 32 frames.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.contract.config import LogMelConfig
from models.data.source import ClipSource
from models.nets.losses import ClipLoss
from models.nets.tagging.logmel import (
    FRAMES,
    BandNorm,
    fit_bands,
    refuse_other_bands,
    spectrogram,
)
from models.tasks.sound_events import Timeline
from models.tasks.tagging import Tagging
from models.training.method import NetMethod
from models.training.state import Training

STEP = 32
"""Frames from one step to the next."""


@dataclass(frozen=True, kw_only=True)
class Config(LogMelConfig):
    """ResNet-50 on AudioSet's audio."""


class Trunk(nn.Module):
    """ResNet-50 without its last layer on one channel: [B, F, 64] to [B, 2048, S]."""

    def __init__(self) -> None:
        from torchvision.models import resnet50  # 2 s and 100 MB that no other model needs

        super().__init__()
        net = resnet50(weights=None)
        net.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        stem = (net.conv1, net.bn1, net.relu, net.maxpool)
        self.layers = nn.Sequential(*stem, net.layer1, net.layer2, net.layer3, net.layer4)

    def forward(self, frames: Tensor) -> Tensor:
        """Average over the bands that are left, at each step."""
        return cast(Tensor, self.layers(frames[:, None])).mean(dim=3)


class Model(nn.Module):
    """Each step has a probability and a weight per class; the clip is their weighted mean."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bands = BandNorm()
        self.trunk = Trunk()
        self.classify = nn.Conv1d(2048, config.classes, 1)
        self.attend = nn.Conv1d(2048, config.classes, 1)

    def forward(self, batch: Batch) -> Outputs:
        """Map `logmel` [B, T, 100, 64] to probabilities of clips and, in `extra`, of steps."""
        steps = self.trunk(self.bands(spectrogram(batch)).frames)
        weight = torch.softmax(self.attend(steps).float(), dim=2)
        scores = torch.sigmoid(self.classify(steps).float())
        clip = (weight * scores).sum(dim=2)
        clip = clip.clamp_max(1.0)  # rounded weights may add up to a little more
        return Outputs(clip=clip, clip_audio=clip, extra={"steps": scores.transpose(1, 2)})


Loss = ClipLoss


def check(config: Config, data: ClipSource) -> None:
    """Raise `UsageError` when the store's log-mel is not what the net takes."""
    refuse_other_bands(data)


def prepare(training: Training) -> None:
    """Take the mean and the standard deviation of each band from the training clips."""
    assert isinstance(training.model, Model)
    fit_bands(training.model.bands, training.data)


CARD = ModelCard(
    name="audio_resnet50",
    title="A deep residual network for large-scale acoustic scene analysis",
    paper="Ford, Tang, Grondin, Glass, Interspeech 2019, as a baseline in Fayek, Kumar, IJCAI 2020",
    url="https://arxiv.org/abs/2006.01595",
    code="",
    needs=("logmel",),
    dataset="audioset",
    task=Tagging(
        modalities=("audio",),
        selection_metric="map",
        timeline=Timeline(name="steps", hop_s=STEP / FRAMES, window_s=STEP / FRAMES),
    ),
    experiments=(
        Experiment(
            name="audio_resnet50",
            settings={},
            rows=(
                PaperRow(
                    paper="Fayek, Kumar 2020",
                    table="3",
                    row="Audio (ResNet-50) [Ford et al., 2019]",
                    numbers={"map": 38.0, "mauc": 97.10},
                ),
            ),
        ),
    ),
    differences=(
        "The row names the net alone; the input (64 mel bands, one channel), the mean over bands, "
        "the attention over time for each class and the training are chosen here.",
    ),
    departures=(
        Departure(
            says="front end and training: 64 mel bands, attention over time and the schedule are "
            "chosen here, because the row names the net alone"
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
    ),
    train_splits=("unbalanced_train",),
)

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, check=check, prepare=prepare
)
