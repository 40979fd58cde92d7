"""Modality-aware labels by swapping tracks: three stages on top of HAN.

Paper: Wu, Yang, "Exploring heterogeneous clues for weakly-supervised audio-visual video parsing",
    CVPR 2021; its numbers are quoted from "Cross-Modal learning for Audio-Visual Video Parsing".
Authors' code: https://github.com/Yu-Wu/Modaily-Aware-Audio-Visual-Video-Parsing
Differences: see `CARD.differences`.

Stage 1 trains HAN with a contrastive term. Stage 2 pairs every training clip with the audio,
then with the video, of a clip that shares no class with it: a label that neither modality predicts
any more was not in the modality that was kept. Stage 3 trains anew without those labels.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Dropout, Rate, Seed, Share, Size, Weight
from models.contract.card import Experiment, ModelCard, PaperRow, ReleasedWeights, five
from models.contract.config import TrainConfig
from models.data.clips import in_memory
from models.data.source import ClipSource
from models.nets.losses import clip_loss, guided_terms, modality_clips, modality_targets, with_total
from models.nets.parsing.han import UNUSED
from models.nets.parsing.layers import HybridAttention, ParsingModel
from models.nets.published_labels import read_changes
from models.tasks.parsing import Parsing
from models.training.loop import fit
from models.training.method import NetMethod
from models.training.state import Training, begin

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """Wu and Yang on LLP."""

    epochs: Size = 12
    """Epochs of stage 1 and, again, of stage 3."""
    keep: Literal["best", "last"] = "last"
    """The authors test the last epoch."""
    gate: Literal["joint", "modality", "larger"] = "modality"
    """Each modality is let through by its own clip probability."""
    hidden: Size = 512
    """Width of the shared space."""
    feedforward: Size = 512
    """Width inside the feed-forward part."""
    dropout: Dropout = 0.1
    """In attention, residuals and the feed-forward part."""
    smooth_visual: Share = 0.1
    """Smoothing of the visual labels."""
    temperature: Rate = 0.2
    """Divides the cosines of the contrastive term."""
    contrast_smoothing: Share = 0.1
    """What the contrastive target spreads over the other seconds."""
    contrast_weight: Weight = 1.0
    """Weight of the contrastive term."""
    clean: bool = True
    """Run stages 1 and 2 first; without them this is stage 1 alone."""
    swap_seed: Seed = 2
    """Seed of the clips whose tracks are swapped in, in stage 2."""
    changes: str = ""
    """The list of changed labels that the authors' program writes (`need_to_change.pkl`), in place
    of stages 1 and 2; nothing in it is run."""
    training_list: str = ""
    """With `changes`: the list of training clips that its numbers count, `AVVP_train.csv`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.changes) != bool(self.training_list):
            raise ValueError("changes and training_list go together, give both or neither")


class Model(ParsingModel):
    """HAN that also compares its contextual audio features with the visual input features."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.hidden, config.classes)
        self.temperature = config.temperature
        self.hat_encoder = HybridAttention(config.hidden, config.feedforward, config.dropout)

    def forward(self, batch: Batch) -> Outputs:
        """Map features as for HAN to Outputs with `extra["similarity"]` [B, T, T].

        Its entry t, u is the cosine of HAN's audio at t and the fused visual feature before HAN at
        u, divided by the temperature.
        """
        audio, visual = self.embed(batch)
        heard, seen = self.hat_encoder(audio, visual)
        cosine = F.normalize(heard, dim=-1) @ F.normalize(visual, dim=-1).transpose(1, 2)
        return self.pool(heard, seen, similarity=cosine / self.temperature)


def contrastive_loss(similarity: Tensor, smoothing: float) -> Tensor:
    """Return the cross-entropy of each second's own visual feature among its clip's, [B, T, T].

    The target puts 1 - smoothing on the own second and spreads the rest over the others; torch
    spreads over all of them, so that its smoothing is larger by T / (T - 1).
    """
    seconds = similarity.shape[1]
    own = torch.arange(seconds, device=similarity.device).repeat(len(similarity))
    spread = smoothing * seconds / (seconds - 1)
    return F.cross_entropy(similarity.flatten(0, 1), own, label_smoothing=spread)


class Loss(nn.Module):
    """HAN's three terms with the labels that are left, and the contrastive term."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `video`, `audio`, `visual`, `contrast` and `total`."""
        contrast = contrastive_loss(outputs.extra["similarity"], self.config.contrast_smoothing)
        return with_total(
            {
                "video": clip_loss(outputs.clip, batch.labels),
                **guided_terms(outputs, modality_targets(batch, 0.0, self.config.smooth_visual)),
                "contrast": self.config.contrast_weight * contrast,
            }
        )


def prepare(training: Training) -> None:
    """Run stages 1 and 2: train a first model, and drop the labels that it refutes."""
    config = training.config
    assert isinstance(config, Config)
    if not config.clean:
        return
    if config.changes:
        training.data = training.data.without(*read_published(config, training.data))
        return
    torch.manual_seed(config.seed)
    first = Model(config).to(training.device)
    fit(begin(first, training.loss, training.data, config, training.task))
    audio, visual = refuted_labels(first, training.data, config)
    logger.info("dropped %d audio and %d visual labels", int(audio.sum()), int(visual.sum()))
    training.data = training.data.without(audio, visual)


def read_published(config: Config, clips: ClipSource) -> tuple[Tensor, Tensor]:
    """Return published labels to drop for audio and for visual, bool [N, C] each."""
    audio, visual = read_changes(Path(config.changes), Path(config.training_list), clips)
    logger.info("the list drops %d audio and %d visual labels", int(audio.sum()), int(visual.sum()))
    return audio, visual


def check(config: Config, clips: ClipSource) -> None:
    """Raise `UsageError` for a published list that cannot be read, before anything is trained."""
    if config.clean and config.changes:
        read_published(config, clips)


def refuted_labels(model: Model, data: ClipSource, config: Config) -> tuple[Tensor, Tensor]:
    """Return labels of training clips to drop for audio and for visual, bool [N, C] each.

    A label goes from a modality when, paired with the other modality of a foreign clip, neither
    clip probability reaches half of the class's error rate (relative to the worst class).
    """
    rows = data.rows("train")
    partner = foreign_partners(data.labels[rows].cpu(), config.swap_seed)
    labels = data.labels[rows].cpu() > 0.5
    own = _clip_probabilities(model, data, rows, rows)
    error_audio, error_visual = (_relative_error(scores, labels) for scores in own)
    lent = rows[partner.clamp_min(0)]
    usable = labels & (partner >= 0)[:, None]
    refuted = {}
    for name, error, swapped in (
        ("audio", error_audio, _clip_probabilities(model, data, rows, lent)),
        ("visual", error_visual, _clip_probabilities(model, data, lent, rows)),
    ):
        weak = (swapped[0] / error < 0.5) & (swapped[1] / error < 0.5)
        refuted[name] = torch.zeros(len(data.keys), labels.shape[1], dtype=torch.bool)
        refuted[name][rows] = usable & weak
    return refuted["audio"], refuted["visual"]


def foreign_partners(labels: Tensor, seed: int, block: int = 512) -> Tensor:
    """Draw for each clip another one without a common class; -1 where none exists.

    `labels` is [N, C], bool or of zeros and ones, the result int64 [N].
    """
    generator = torch.Generator().manual_seed(seed)
    there, drawn = labels.float(), []
    for first in range(0, len(labels), block):
        shared = there[first : first + block] @ there.T
        lot = torch.rand(shared.shape, generator=generator).masked_fill(shared > 0, -1.0)
        best, index = lot.max(dim=1)
        drawn.append(torch.where(best >= 0, index, -1))
    return torch.cat(drawn)


def _relative_error(probability: Tensor, labels: Tensor) -> Tensor:
    """Return the share of clips that each class gets wrong, relative to the worst class: [C]."""
    wrong = ((probability > 0.5) != labels).float().mean(dim=0)
    return wrong / wrong.max()


@torch.no_grad()
def _clip_probabilities(
    model: Model, data: ClipSource, audio_rows: Tensor, visual_rows: Tensor, size: int = 256
) -> tuple[Tensor, Tensor]:
    """Return audio and visual clip probabilities [N, C] with audio and video of different clips."""
    model.eval()
    vggish = in_memory(data).features["vggish"]
    parts = []
    for first in range(0, len(audio_rows), size):
        chosen = slice(first, first + size)
        visual = data.batch(visual_rows[chosen])
        audio = vggish[audio_rows[chosen]]
        mixed = replace(visual, features={**visual.features, "vggish": audio})
        parts.append([scores.cpu() for scores in modality_clips(model(mixed))])
    clip_audio, clip_visual = (torch.cat(column) for column in zip(*parts, strict=True))
    return clip_audio, clip_visual


CARD = ModelCard(
    name="wu_yang",
    title="Exploring heterogeneous clues for weakly-supervised audio-visual video parsing",
    paper="Wu, Yang, CVPR 2021",
    url="https://github.com/Yu-Wu/Modaily-Aware-Audio-Visual-Video-Parsing",
    code="https://github.com/Yu-Wu/Modaily-Aware-Audio-Visual-Video-Parsing",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("audio", "visual")),
    experiments=(
        Experiment(
            name="wu_yang",
            settings={},
            rows=(
                PaperRow(
                    paper="Cross-modal AVVP",
                    table="1 and 2",
                    row="Wu et al. [20]",
                    numbers=five("segment", 60.3, 60.0, 55.1, 58.9, 57.9)
                    | five("event", 53.6, 56.4, 49.0, 53.0, 50.6),
                ),
            ),
        ),
        Experiment(
            name="wu_yang-no-contrast",
            settings={"contrast_weight": 0.0},
            rows=(
                PaperRow(
                    paper="Cheng et al. 2022",
                    table="1",
                    row="MA [43], without CL",
                    numbers=five("segment", 59.8, 57.5, 52.6, 56.6, 56.6)
                    | five("event", 52.1, 54.4, 45.8, 50.8, 49.4),
                ),
            ),
        ),
    ),
    differences=(
        "Foreign clips are drawn by our own random numbers, so the labels that go are not exactly "
        "those of the authors' published list.",
        "A clip that shares a class with every other one keeps its labels.",
        "The quoted segment Type@AV of 58.9 is not the mean of its three numbers, which is 58.5.",
    ),
    released=ReleasedWeights(unused=(*UNUSED, "t_att", "t_att2", "fc1", "fc2")),
)

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, check=check, prepare=prepare
)
