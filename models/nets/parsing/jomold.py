"""JoMoLD: labels that hold for one modality only, found by comparing the losses of both.

Paper: Cheng, Liu, Zhou, Qian, Wu, Wang, "Joint-Modal Label Denoising for Weakly-Supervised
    Audio-Visual Video Parsing", ECCV 2022, https://arxiv.org/abs/2204.11573
Authors' code: https://github.com/MCG-NJU/JoMoLD
Differences: see `CARD.differences`.

A first net without cross-modal attention tells how often each label is absent from each modality
(the noise ratios). The second net then drops, of the positive labels of a batch, that share for a
modality: those whose loss is highest there and lowest in the other modality.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Dropout, Rate, Seed, Share, Size, Weight
from models.contract.card import Experiment, ModelCard, PaperRow, ReleasedWeights, five
from models.contract.config import TrainConfig
from models.data.source import ClipSource
from models.nets.losses import clip_loss, modality_clips, modality_targets, smooth, with_total
from models.nets.parsing.layers import HybridAttention, ParsingModel
from models.tasks.parsing import Parsing
from models.training.loop import fit
from models.training.method import NetMethod
from models.training.state import Training, begin
from schemas import UsageError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config(TrainConfig):
    """JoMoLD on LLP."""

    epochs: Size = 25
    """Epochs of the net that estimates the noise and, again, of the net that is trained then."""
    batch_size: Size = 128
    """Clips per forward pass; labels are compared within one."""
    learning_rate: Rate = 5e-4
    """Adam's learning rate in the first epochs."""
    decay_every: Size = 6
    """Decay the learning rate by `decay_factor` every N epochs."""
    decay_factor: Rate = 0.25
    """Factor of each decay."""
    seed: Seed = 6
    """Seed of initial weights, order of clips and dropout."""
    hidden: Size = 512
    """Width of the shared space."""
    feedforward: Size = 512
    """Width inside the feed-forward part."""
    dropout: Dropout = 0.1
    """In attention, residuals and the feed-forward part."""
    visual_dropout: Dropout = 0.5
    """In the visual features before the heads."""
    smooth_visual: Share = 0.1
    """Smoothing of the visual labels."""
    temperature: Rate = 0.2
    """Divides the cosines of the contrastive term."""
    contrast_smoothing: Share = 0.1
    """What the contrastive target spreads over the other seconds."""
    contrast_weight: Weight = 1.0
    """Weight of the contrastive term."""
    audio_weight: Weight = 2.0
    """Weight of the audio term."""
    visual_weight: Weight = 1.0
    """Weight of the visual term."""
    audio_threshold: Rate = 0.6
    """A positive label counts as absent from the audio where its probability is less than so many
    times the class's mean."""
    visual_threshold: Rate = 1.8
    """The same for the video."""
    noise_ratios: str = ""
    """File of published noise ratios (`.npz`, arrays `audio` and `visual`, one number per class);
    left out, they are estimated first."""
    kept_epochs: Annotated[int, AtLeast(0)] = 1
    """Epochs at the start in which no label is dropped."""
    clean: bool = True
    """Drop labels; without it this is the net that estimates the noise."""
    gate: Literal["joint", "modality", "larger"] = "modality"
    """Each modality is let through by its own clip probability."""


class Model(ParsingModel):
    """HAN with dropout before the heads, and in training a glance at the batch without crossing."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.hidden, config.classes)
        self.hat_encoder = HybridAttention(config.hidden, config.feedforward, config.dropout)
        self.dropout = nn.Dropout(config.visual_dropout)
        self.temperature, self.clean = config.temperature, config.clean

    def forward(self, batch: Batch) -> Outputs:
        """Map features as for HAN to Outputs.

        `extra` has `similarity` [B, T, T], the cosine of the audio at t and the visual features at
        u over the temperature, and in training `own_audio` and `own_visual` [B, C], the clip
        probabilities when each modality attends to itself alone.
        """
        audio, visual = self.embed(batch)
        extra = {}
        if self.training and self.clean:
            with torch.no_grad():
                own = self.attend(audio, visual, cross=False)
            extra["own_audio"], extra["own_visual"] = modality_clips(own)
        return self.attend(audio, visual, cross=self.clean, **extra)

    def attend(self, audio: Tensor, visual: Tensor, *, cross: bool, **extra: Tensor) -> Outputs:
        """Map embedded features [B, T, D] to Outputs, with or without cross-modal attention."""
        heard, seen = self.hat_encoder(audio, visual, cross=cross)
        cosine = F.normalize(heard, dim=-1) @ F.normalize(seen, dim=-1).transpose(1, 2)
        return self.pool(heard, self.dropout(seen), similarity=cosine / self.temperature, **extra)


def contrastive_loss(similarity: Tensor, smoothing: float, weight: Tensor | None = None) -> Tensor:
    """Return minus the mean log of the share that each second's softmax [B, T, T] gives its own.

    Of the share, 1 - smoothing is that of the own second, the rest is spread over the others; it is
    the logarithm of their sum, where a smoothed cross-entropy sums logarithms. `weight` [B] is what
    the seconds of a clip count in the mean, 1 where it is left out.
    """
    seconds = similarity.shape[1]
    share = torch.softmax(similarity, dim=-1)
    own = share.diagonal(dim1=1, dim2=2)
    spread = smoothing / (seconds - 1)
    log = torch.log((1.0 - smoothing - spread) * own + spread)
    return -(log if weight is None else log * weight[:, None]).mean()


class Loss(nn.Module):
    """HAN's three terms with the labels that are left in the batch, and the contrastive term."""

    noise_audio: Tensor
    noise_visual: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        for name in ("noise_audio", "noise_visual"):
            self.register_buffer(name, torch.zeros(config.classes, dtype=torch.float64))

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `video`, `audio`, `visual`, `contrast` and `total`."""
        config = self.config
        targets = self.targets(outputs, batch)
        audio, visual = modality_clips(outputs)
        contrast = contrastive_loss(outputs.extra["similarity"], config.contrast_smoothing)
        return with_total(
            {
                "video": clip_loss(outputs.clip, batch.labels),
                "audio": config.audio_weight * clip_loss(audio, targets[0]),
                "visual": config.visual_weight * clip_loss(visual, targets[1]),
                "contrast": config.contrast_weight * contrast,
            }
        )

    @torch.no_grad()
    def targets(self, outputs: Outputs, batch: Batch) -> list[Tensor]:
        """Return the targets of audio and visual [B, C], zero where a label is dropped."""
        targets = modality_targets(batch, 0.0, self.config.smooth_visual)
        own = [outputs.extra.get("own_audio"), outputs.extra.get("own_visual")]
        kept = batch.progress * self.config.epochs < 1 + self.config.kept_epochs
        if own[0] is None or own[1] is None or kept:
            return targets
        audio, visual = (
            clip_loss(probability, target, "none")
            for probability, target in zip((own[0], own[1]), targets, strict=True)
        )
        positive = batch.labels > 0.5
        return [
            targets[0].masked_fill(noisy(audio, visual, positive, self.noise_audio), 0.0),
            targets[1].masked_fill(noisy(visual, audio, positive, self.noise_visual), 0.0),
        ]


def noisy(own: Tensor, other: Tensor, positive: Tensor, ratio: Tensor) -> Tensor:
    """Return which positive labels [B, C] the own modality refutes, bool [B, C].

    `own` and `other` are the losses of the two modalities. Of n positive labels of a class,
    int(ratio * n) are those of highest own loss and as many those of lowest other loss; a label
    among both is noise.
    """
    count = (ratio * positive.sum(dim=0)).long()  # [C]
    high = _rank(own.masked_fill(~positive, -torch.inf), descending=True) < count
    low = _rank(other.masked_fill(~positive, torch.inf), descending=False) < count
    return high & low & positive


def _rank(values: Tensor, *, descending: bool) -> Tensor:
    """Return the place of each value [B, C] in the order of its column."""
    return values.argsort(dim=0, descending=descending).argsort(dim=0)


def prepare(training: Training) -> None:
    """Read the noise ratios, or train the first net and estimate them."""
    config, loss = training.config, training.loss
    assert isinstance(config, Config)
    assert isinstance(loss, Loss)
    if config.clean:
        find_noise(training, loss, config)


def find_noise(training: Training, loss: Loss, config: Config) -> None:
    """Give a loss the noise ratios: those of the file, or those of a first net that is trained."""
    if config.noise_ratios:
        audio, visual = read_noise_ratios(Path(config.noise_ratios), config.classes)
    else:
        plain = replace(config, clean=False)
        torch.manual_seed(config.seed)
        first = Model(plain).to(training.device)
        logger.info("the net that estimates the noise comes first")
        task = Parsing(modalities=("audio", "visual"), selected_by="event_audio")
        fit(begin(first, Loss(plain), training.data, plain, task))
        audio, visual = estimate_noise(first, training.data, config)
    loss.noise_audio.copy_(audio)
    loss.noise_visual.copy_(visual)
    shown = 100 * float(audio.mean()), 100 * float(visual.mean())
    logger.info("labels absent from the audio %.1f %%, from the video %.1f %% on average", *shown)


@torch.no_grad()
def estimate_noise(model: Model, data: ClipSource, config: Config) -> tuple[Tensor, Tensor]:
    """Return the share of each class's training labels absent from audio and visual, [C] each.

    Absent is a label whose clip probability, times its target, is less than the modality's
    threshold times the mean probability of the class over all training clips.
    """
    model.eval()
    rows = data.rows("train")
    parts = [modality_clips(model(batch)) for batch in data.batches(rows, config.batch_size)]
    labels = data.labels[rows]
    positive = labels > 0.5
    ratios = []
    for place, (threshold, smoothing) in enumerate(
        ((config.audio_threshold, 0.0), (config.visual_threshold, config.smooth_visual))
    ):
        probability = torch.cat([part[place] for part in parts])
        mean = probability.mean(dim=0).clamp_min(1e-12)
        weak = probability * smooth(labels, smoothing) / mean < threshold
        absent = (weak & positive).sum(dim=0)
        ratios.append(absent.double() / positive.sum(dim=0).clamp_min(1))
    return ratios[0], ratios[1]


def read_noise_ratios(path: Path, classes: int) -> tuple[Tensor, Tensor]:
    """Read published noise ratios, [C] each; `UsageError` for a file that holds none.

    Nothing in the file is run: it is opened without pickled objects.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            ratios = [np.asarray(arrays[name], np.float64) for name in ("audio", "visual")]
    except (OSError, ValueError, KeyError, EOFError) as error:
        said = " ".join(str(error).split())[:120]
        raise UsageError(
            f"{path} is no file of noise ratios ({said}); it is an .npz with the arrays audio and "
            "visual"
        ) from None
    for name, ratio in zip(("audio", "visual"), ratios, strict=True):
        if ratio.shape != (classes,):
            raise UsageError(
                f"{path} has {name} {list(ratio.shape)}, and the clips have {classes} classes; "
                "give the noise ratios of the same data set"
            )
        if not ((ratio >= 0) & (ratio <= 1)).all():
            raise UsageError(f"{path} has a ratio of {name} that is no number from 0 to 1")
    return torch.from_numpy(ratios[0]), torch.from_numpy(ratios[1])


def check(config: Config, clips: ClipSource) -> None:
    """Raise `UsageError` for noise ratios that cannot be read, before anything is trained."""
    if config.noise_ratios:
        read_noise_ratios(Path(config.noise_ratios), len(clips.vocabulary))


CHENG = "Cheng et al. 2022"

CARD = ModelCard(
    name="jomold",
    title="Joint-Modal Label Denoising for Weakly-Supervised Audio-Visual Video Parsing",
    paper="Cheng, Liu, Zhou, Qian, Wu, Wang, ECCV 2022",
    url="https://arxiv.org/abs/2204.11573",
    code="https://github.com/MCG-NJU/JoMoLD",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("audio", "visual"), selected_by="event_audio"),
    experiments=(
        Experiment(
            name="jomold",
            settings={},
            rows=(
                PaperRow(
                    paper=CHENG,
                    table="1",
                    row="JoMoLD (ours), with CL",
                    numbers=five("segment", 61.3, 63.8, 57.2, 60.8, 59.9)
                    | five("event", 53.9, 59.9, 49.6, 54.5, 52.5),
                ),
            ),
        ),
        Experiment(
            name="jomold-no-contrast",
            settings={"contrast_weight": 0.0},
            rows=(
                PaperRow(
                    paper=CHENG,
                    table="1",
                    row="JoMoLD (ours), without CL",
                    numbers=five("segment", 60.6, 62.2, 56.0, 59.6, 58.6)
                    | five("event", 53.1, 58.9, 49.4, 53.8, 51.4),
                ),
            ),
        ),
    ),
    differences=(
        "The warm-up of the authors' program, 0.9 epochs, multiplies the noise ratios by 0 in its "
        "first step and keeps the product: no label is dropped in the first epoch, then the whole "
        "share. So it is here (kept_epochs).",
        "The mean probability of a class is over clips, the authors' is over batches, whose last "
        "one is smaller.",
        "The epoch is kept by the event score of the audio, as in the authors' program.",
    ),
    released=ReleasedWeights(unused=("hat_encoder.norm1", "hat_encoder.norm2")),
)

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, check=check, prepare=prepare
)
