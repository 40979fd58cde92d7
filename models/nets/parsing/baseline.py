"""Baselines of audio-visual video parsing that know nothing about time.

A net has learnt to parse only when it beats both: labels of the whole clip copied into
every second (`video-level`), and a linear classifier of single seconds that is trained as if the
clip's weak labels held in each of them (`second-probe`). They are of no paper.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Rate
from models.contract.card import Experiment, ModelCard, PaperRow
from models.contract.config import TrainConfig
from models.nets.losses import clip_loss, with_total
from models.tasks.parsing import Parsing
from models.training.method import NetMethod

AUDIO, VISUAL = 128, 2048 + 512


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """Logistic regression on standardised features."""

    learning_rate: Rate = 1e-3
    """Adam's learning rate in the first epochs."""
    sees: Literal["clip", "second"] = "clip"
    """What is classified: the mean of the clip, whose labels go into all its seconds, or each
    second of each modality by itself."""


class Linear(nn.Module):
    """Logistic regression on features that are standardised with the training clips' statistics."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.standardise = nn.BatchNorm1d(width, affine=False)
        self.classify = nn.Linear(width, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map [..., width] to probabilities [..., C]."""
        rows = self.standardise(features.flatten(0, -2)).view_as(features)
        return torch.sigmoid(self.classify(rows))


class Model(nn.Module):
    """One classifier of clips, or one of seconds for each modality."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.sees = config.sees
        if config.sees == "clip":
            self.clip = Linear(AUDIO + VISUAL, config.classes)
        else:
            self.audio = Linear(AUDIO, config.classes)
            self.visual = Linear(VISUAL, config.classes)

    def forward(self, batch: Batch) -> Outputs:
        """Map `vggish` [B, T, 128], `resnet152` [B, T, 2048], `r2plus1d` [B, T, 512] to Outputs."""
        audio, frames = batch.features["vggish"], batch.features["resnet152"]
        frames = frames if frames.ndim == 3 else frames.mean(dim=2)
        visual = torch.cat([frames, batch.features["r2plus1d"]], dim=-1)
        if self.sees == "second":
            heard, seen = self.audio(audio), self.visual(visual)
            clip_audio, clip_visual = heard.amax(dim=1), seen.amax(dim=1)
            return Outputs(
                clip=torch.maximum(clip_audio, clip_visual), audio=heard, visual=seen,
                clip_audio=clip_audio, clip_visual=clip_visual,
            )  # fmt: skip
        clip = self.clip(torch.cat([audio, visual], dim=-1).mean(dim=1))
        copied = clip[:, None].expand(-1, audio.shape[1], -1)
        return Outputs(clip=clip, audio=copied, visual=copied, clip_audio=clip, clip_visual=clip)


class Loss(nn.Module):
    """Cross-entropy with the weak labels, of the clip or of each present second."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.sees = config.sees

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return term `clip`, or terms `audio` and `visual`; and `total`."""
        if self.sees == "clip":
            return with_total({"clip": clip_loss(outputs.clip, batch.labels)})
        assert outputs.audio is not None
        assert outputs.visual is not None
        labels = batch.labels[:, None].expand_as(outputs.audio)
        heard, seen = batch.present["vggish"], batch.present["resnet152"]
        return with_total(
            {
                "audio": clip_loss(outputs.audio[heard], labels[heard]),
                "visual": clip_loss(outputs.visual[seen], labels[seen]),
            }
        )


def _row(name: str, what: str) -> PaperRow:
    return PaperRow(paper="no paper", table="none", row=f"{name}: {what}", numbers={})


CARD = ModelCard(
    name="baseline",
    title="Baselines that know nothing about time",
    paper="of no paper",
    url="https://arxiv.org/abs/2007.10558",
    code="",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    task=Parsing(modalities=("audio", "visual")),
    experiments=(
        Experiment(
            name="video-level",
            settings={},
            rows=(_row("video-level", "labels of the clip in every second"),),
        ),
        Experiment(
            name="second-probe",
            settings={"sees": "second"},
            rows=(_row("second-probe", "each second by itself, trained with the clip's labels"),),
        ),
    ),
    differences=("They stand here so that scores can be compared with them; see the paper of "
                 "HAN for the task.",),
)  # fmt: skip

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss)
