"""AVE: the audio-visual event localisation baseline of audio-visual video parsing.

Paper: the rows "AVE" of Tian, Li, Xu, ECCV 2020, https://arxiv.org/abs/2007.10558; the net is from
    Tian, Shi, Li, Duan, Xu, "Audio-visual event localization in unconstrained videos", ECCV 2018.
Authors' code: https://github.com/YapengTian/AVE-ECCV18
Differences: see `CARD.differences`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Rate, Size
from models.contract.card import Departure, Experiment, ModelCard, PaperRow, five
from models.contract.config import TrainConfig
from models.data.source import ClipSource
from models.nets.losses import clip_loss, guided_terms, modality_targets, with_total
from models.nets.parsing.layers import VisualFusion
from models.nets.small_sets import settings_for_few
from models.tasks.parsing import Parsing
from models.training.method import NetMethod

SMALL_SET = 500
"""With fewer training clips than this, and none of `TRAINING` given, settings are those for small
sets."""
SMALL_SETTINGS: Mapping[str, Any] = {
    "hidden": 64, "batch_size": 8, "epochs": 60, "decay_every": 40, "keep": "last",
}  # fmt: skip
"""Those settings: with the paper's, a few hundred clips bring so few steps that the net predicts
next to nothing (docs/avvp.md)."""
TRAINING = ("learning_rate", "decay_factor", "schedule", "weight_decay", *SMALL_SETTINGS)
"""Settings of which one that is not the paper's says that the user has chosen."""


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """AVE on LLP."""

    small: Literal["auto", "yes", "no"] = "auto"
    """Settings for few training clips in place of the paper's: auto takes them below 500 training
    clips when no setting of the training is given, yes takes them where none is given, no takes
    the paper's."""
    epochs: Size = 250
    """Number of epochs."""
    batch_size: Size = 64
    """Clips per step."""
    learning_rate: Rate = 1e-3
    """Adam's learning rate in the first epochs."""
    decay_every: Size = 96
    """The authors' 15,000 steps, in epochs of LLP's 10,000 training clips."""
    hidden: Size = 512
    """Width of the fused visual feature."""
    recurrent: Size = 128
    """Width of the LSTMs per direction."""
    inner: Size = 64
    """Width inside each head."""


class Model(VisualFusion):
    """An LSTM per modality; a head for each and one for both."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.hidden)
        wide = 2 * config.recurrent
        self.audio = nn.LSTM(128, config.recurrent, batch_first=True, bidirectional=True)
        self.visual = nn.LSTM(config.hidden, config.recurrent, batch_first=True, bidirectional=True)
        self.audio_head = _head(wide, config)
        self.visual_head = _head(wide, config)
        self.joint_head = _head(2 * wide, config)

    def forward(self, batch: Batch) -> Outputs:
        """Map `vggish` [B, T, 128], `resnet152` [B, T, 2048], `r2plus1d` [B, T, 512] to Outputs."""
        fused = self.fuse(batch.features["resnet152"], batch.features["r2plus1d"])
        audio, _ = self.audio(batch.features["vggish"])
        visual, _ = self.visual(fused)
        heard = torch.sigmoid(self.audio_head(audio))
        seen = torch.sigmoid(self.visual_head(visual))
        both = torch.sigmoid(self.joint_head(torch.cat([audio, visual], dim=-1)))
        return Outputs(
            clip=both.amax(dim=1),
            audio=heard,
            visual=seen,
            clip_audio=heard.amax(dim=1),
            clip_visual=seen.amax(dim=1),
        )


def _head(width: int, config: Config) -> nn.Sequential:
    out = nn.Linear(config.inner, config.classes)
    return nn.Sequential(nn.ReLU(), nn.Linear(width, config.inner), nn.ReLU(), out)


class Loss(nn.Module):
    """Cross-entropy of each of the three clip probabilities."""

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `video`, `audio`, `visual` and `total`."""
        terms = guided_terms(outputs, modality_targets(batch, 0.0, 0.0))
        return with_total({"video": clip_loss(outputs.clip, batch.labels), **terms})


def adapt(config: Config, data: ClipSource) -> Config:
    """Return the settings with those for small sets, when there are few training clips."""
    return settings_for_few(
        config, data, below=SMALL_SET, settings=SMALL_SETTINGS, chosen_by=TRAINING,
        otherwise="the paper's way",
    )  # fmt: skip


CARD = ModelCard(
    name="ave",
    title="Audio-visual event localization in unconstrained videos",
    paper="Tian, Shi, Li, Duan, Xu, ECCV 2018, as a baseline in Tian, Li, Xu, ECCV 2020",
    url="https://arxiv.org/abs/2007.10558",
    code="https://github.com/YapengTian/AVE-ECCV18",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("audio", "visual")),
    experiments=(
        Experiment(
            name="ave",
            settings={},
            rows=(
                PaperRow(
                    paper="Tian et al. 2020",
                    table="1",
                    row="AVE [12]",
                    numbers=five("segment", 47.2, 37.1, 35.4, 39.9, 41.6)
                    | five("event", 40.4, 34.7, 31.6, 35.5, 36.5),
                ),
                PaperRow(
                    paper="Tian et al. 2020, ECCV version",
                    table="1",
                    row="AVE",
                    numbers=five("segment", 49.9, 37.3, 37.0, 41.4, 43.6)
                    | five("event", 43.6, 32.4, 32.6, 36.2, 37.4),
                ),
            ),
        ),
    ),
    differences=(
        "With fewer than 500 training clips, and --small auto, the net is narrower, batches are "
        "smaller and the last epoch is kept.",
        "LLP's features have no map of regions, so there is no audio-guided attention over them.",
        "The audio and visual branches, the sigmoid and the maximum over time of each head are "
        "ours: the paper says only that the baseline was adapted.",
        "Two more baselines of the ECCV version are not here, because nothing says how they were "
        "adapted to the task: STPN (visual: segment 46.5, event 41.5), and AVSDN (audio, visual, "
        "audio-visual, Type@AV, Event@AV: segment 47.8 52.0 37.1 45.7 50.8, event 34.1 46.3 26.5 "
        "35.6 37.7).",
    ),
    departures=(
        Departure(
            says="structure: no audio-guided attention over regions, because the stored "
            "features have none, and heads of our own"
        ),
    ),
)

METHOD = NetMethod[Config](card=CARD, config=Config, build=Model, loss=Loss, adapt=adapt)
