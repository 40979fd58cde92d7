"""CoLeaF: a net that crosses modalities, taught by two that do not where the other misleads.

Paper: Sardari, Mustafa, Jackson, Hilton, "CoLeaF: A Contrastive-Collaborative Learning Framework
    for Weakly Supervised Audio-Visual Video Parsing", ECCV 2024, https://arxiv.org/abs/2405.10690
Authors' code: https://github.com/faeghehsardari/coleaf
Differences: see `CARD.differences`.

The net that parses is called the anchor. Its two references, one for each modality, see nothing of
the other and have a token for each class; they are of use in training alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Dropout, Seed, Share, Size, Weight
from models.contract.card import Departure, Experiment, ModelCard, PaperRow, ReleasedWeights, five
from models.data.source import ClipSource
from models.nets.losses import clip_loss, modality_clips, with_total
from models.nets.parsing import jomold
from models.nets.parsing.coleaf_losses import asymmetric_loss, mutual_loss, relation_loss
from models.nets.parsing.layers import AttentionLayer, HybridAttention, VisualFusion, attention
from models.nets.parsing.valor import LAI_2025
from models.tasks.parsing import Parsing
from models.training.loop import steps_of
from models.training.method import NetMethod
from models.training.state import Training
from schemas import UsageError

SHARPNESS = 0.8
"""Divides logits before they count as evidence."""
CERTAIN = {"audio": (0.8, 0.1), "visual": (0.6, 0.4)}
"""A reference's probability is a target from the first on and up to the second."""
TAUGHT = {"audio": 0.5, "visual": 0.6}
"""Probability of the anchor from which it teaches a reference that a class is there."""
TOKEN_WEIGHTS = {"audio": (1.2, 0.001), "visual": (1.0, 0.0)}
"""Weight of the class tokens' term: while references learn alone, and then."""


@dataclass(frozen=True, kw_only=True)
class Config(jomold.Config):
    """CoLeaF on LLP."""

    epochs: Size = 10
    """Epochs of the net; the one that estimates the noise has as many."""
    seed: Seed = 1
    """Seed of initial weights, order of clips and dropout."""
    head_dropout: Dropout = 0.2
    """In what a modality takes from the sum of both."""
    crossed_share: Share = 0.8
    """Share of the features with cross-modal attention in the anchor; the rest is without."""
    crossed_share_at_test: Share = 0.7
    """Share of the probabilities of that mixture at evaluation; the rest is without crossing."""
    video_weight: Weight = 2.0
    """Weight of the term of the whole clip."""
    mutual_weight: Weight = 1.0
    """Weight of the term in which clip and modalities learn from each other."""
    relation_weight: Weight = 1e-4
    """Weight of the terms for products of classes, from the second epoch on."""
    audio_align_weight: Weight = 0.009
    """Weight of the contrast with the audio reference, from the second epoch on."""
    visual_align_weight: Weight = 1.0
    """The same with the visual reference."""
    alone_epochs: Size = 3
    """Epochs in which the references learn from the labels alone."""
    references: bool = True
    """Build the references, without which there is no training."""


class Self(AttentionLayer):
    """A sequence that attends to itself."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.hidden, config.feedforward, config.dropout)
        self.self_attn = attention(config.hidden, config.dropout)

    def forward(self, own: Tensor) -> Tensor:
        """Update [B, T, D]."""
        return self.finish(own, self.self_attn(own, own, own, need_weights=False)[0])


class Reference(nn.Module):
    """The net of one modality: class tokens before the seconds, one layer of self-attention."""

    def __init__(self, config: Config, *, drop_all: bool) -> None:
        super().__init__()
        self.drop_all = drop_all
        self.tokens = nn.Parameter(torch.zeros(1, config.classes, config.hidden))
        self.attend = Self(config)
        self.fc_prob = nn.Linear(config.hidden, config.classes)
        self.fc_frame_att = nn.Linear(config.hidden, config.classes)
        self.dropout = nn.Dropout(config.visual_dropout)

    def forward(self, seconds: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map embedded seconds [B, T, D] to clip probabilities of seconds and of tokens, features.

        The first two are [B, C], the features [B, T, D] of length 1.
        """
        classes = self.tokens.shape[1]
        hidden = self.attend(torch.cat([self.tokens.expand(len(seconds), -1, -1), seconds], dim=1))
        of_tokens = torch.sigmoid(hidden[:, :classes].mean(dim=2))
        hidden = hidden[:, classes:]
        dropped = self.dropout(hidden)
        weigh = torch.softmax(self.fc_frame_att(dropped if self.drop_all else hidden), dim=1)
        clip = (weigh * torch.sigmoid(self.fc_prob(dropped))).sum(dim=1)
        return clip, of_tokens, F.normalize(hidden, dim=-1)


class Model(nn.Module):
    """The anchor, and in training its references."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, classes = config.hidden, config.classes
        self.config = config
        self.fc_a = _projection(128, width)
        self.fc_v = _projection(2048, width)
        self.fc_st = _projection(512, width)
        self.fc_fusion = _projection(2 * width, width)
        self.classifier1 = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(0.2))
        self.classifier2 = nn.Linear(width, classes)
        self.hat_encoder = HybridAttention(width, config.feedforward, config.dropout)
        self.dropout = nn.Dropout(config.visual_dropout)
        self.v2a = _exchange(width, config.head_dropout)
        self.a2v = _exchange(width, config.head_dropout)
        self.fc_prob = nn.Linear(width, classes)
        self.fc_prob_beta = nn.Linear(width, classes)
        self.fc_frame_att = nn.Linear(width, 2 * classes)
        if config.references:
            self.hear = nn.Linear(128, width)
            self.see = VisualFusion(width)
            self.audio_reference = Reference(config, drop_all=False)
            self.visual_reference = Reference(config, drop_all=True)

    def forward(self, batch: Batch) -> Outputs:
        """Map `vggish` [B, T, 128], `resnet152` [B, T, 2048], `r2plus1d` [B, T, 512] to Outputs.

        With references `extra` has what the loss compares: of the anchor the doubt about the clip
        [B] and about each modality [B, C], and features [B, T, D] of length 1; of the references
        probabilities [B, C] and features.
        """
        audio, visual = self.embed(batch)
        logits = self.classifier2(self.classifier1(audio) + self.classifier1(visual))
        clip = torch.sigmoid(logits).mean(dim=1)
        alone = self.hat_encoder(audio, visual, cross=False)
        share = self.config.crossed_share
        mixed = [
            share * crossed + (1 - share) * own
            for crossed, own in zip(self.hat_encoder(audio, visual), alone, strict=True)
        ]
        seconds, clips, doubt = self.decide(*mixed)
        if not self.training:
            share = self.config.crossed_share_at_test
            own_seconds, own_clips, _ = self.decide(*alone)
            seconds = share * seconds + (1 - share) * own_seconds
            clips = share * clips + (1 - share) * own_clips
        taught = self.config.references
        return Outputs(
            clip=clip, audio=seconds[:, :, 0], visual=seconds[:, :, 1],
            clip_audio=clips[:, 0], clip_visual=clips[:, 1],
            extra=self.compared(batch, logits, doubt, mixed, alone) if taught else {},
        )  # fmt: skip

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Map the features of a batch to audio [B, T, D] and visual [B, T, D]."""
        frames = self.fc_v(batch.features["resnet152"])
        frames = frames if frames.ndim == 3 else frames.mean(dim=2)
        motion = self.fc_st(batch.features["r2plus1d"])
        fused = self.fc_fusion(torch.cat([frames, motion], dim=-1))
        return self.fc_a(batch.features["vggish"]), fused

    def decide(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map context features [B, T, D] to probabilities [B, T, 2, C] and [B, 2, C], and doubt.

        Each is of evidence for against evidence against; doubt [B, 2, C] is large where there is
        little of either.
        """
        visual = self.dropout(visual)
        both = torch.stack([audio, visual], dim=2)
        total = audio + visual
        against = torch.stack([audio + self.v2a(total), visual + self.a2v(total)], dim=2)
        logits = torch.stack([self.fc_prob(both), self.fc_prob_beta(against)], dim=-1)
        weigh = torch.softmax(self.fc_frame_att(both).unflatten(-1, (-1, 2)), dim=1)
        clip, doubt = belief((weigh * logits).sum(dim=1))
        return belief(logits)[0], clip, doubt

    def compared(
        self, batch: Batch, logits: Tensor, doubt: Tensor, mixed: list[Tensor],
        alone: tuple[Tensor, Tensor],
    ) -> dict[str, Tensor]:  # fmt: skip
        """Return what the loss compares beside the probabilities."""
        classes = logits.shape[2]
        extra = {
            "doubt_clip": classes / (1.0 + evidence(logits.mean(dim=1))).sum(dim=1),
            "doubt_audio": doubt[:, 0], "doubt_visual": doubt[:, 1],
            "audio": F.normalize(mixed[0], dim=-1), "visual": F.normalize(mixed[1], dim=-1),
        }  # fmt: skip
        with torch.no_grad():
            own = self.decide(*alone)[1]
        extra["own_audio"], extra["own_visual"] = own[:, 0], own[:, 1]
        seen = self.see.fuse(batch.features["resnet152"], batch.features["r2plus1d"])
        for name, found in (
            ("audio", self.audio_reference(self.hear(batch.features["vggish"]))),
            ("visual", self.visual_reference(seen)),
        ):
            for part, value in zip(("clip", "token", "second"), found, strict=True):
                extra[f"reference_{name}_{part}"] = value
        return extra


def _projection(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.ELU())


def _exchange(width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout), nn.LeakyReLU(0.2))


def evidence(logits: Tensor) -> Tensor:
    """Return the evidence of logits, of any shape."""
    return torch.exp(logits.clamp(-10, 10) / SHARPNESS)


def belief(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return probability and doubt of logits for and against, [..., 2] to [...] each.

    Doubt is 1 without evidence and 0 with much; a probability without evidence is one half.
    """
    alpha = 1.0 + evidence(logits)
    total = alpha.sum(dim=-1)
    return alpha[..., 0] / total, 2.0 / total


class Loss(jomold.Loss):
    """JoMoLD's terms for the anchor, what it learns from its references, and their own terms."""

    steps: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.settings = config
        self.register_buffer("steps", torch.ones((), dtype=torch.int64))

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the anchor's terms, those of the references and `total`."""
        config = self.settings
        targets = dict(zip(("audio", "visual"), self.targets(outputs, batch), strict=True))
        clips = dict(zip(("audio", "visual"), modality_clips(outputs), strict=True))
        extra, epoch, step = outputs.extra, *self.place(batch.progress)
        similarity = _similarity(extra["audio"], extra["visual"], config)
        contrast = jomold.contrastive_loss(similarity, config.contrast_smoothing)
        terms = {
            "video": config.video_weight * clip_loss(outputs.clip, batch.labels),
            "audio": config.audio_weight * clip_loss(clips["audio"], targets["audio"]),
            "visual": config.visual_weight * clip_loss(clips["visual"], targets["visual"]),
            "contrast": config.contrast_weight * contrast,
            "mutual": config.mutual_weight * mutual_loss(outputs, batch.labels, step),
        }
        if epoch > 1:
            terms |= _taught(extra, clips, targets, config)
        for name, clip in clips.items():
            terms[f"{name}_reference"] = _reference_loss(
                name, extra, clip, targets[name], alone=epoch <= config.alone_epochs
            )
        return with_total(terms)

    def place(self, progress: float) -> tuple[int, int]:
        """Return epoch, from 1, and step in it, from 0, where a share of the training is done."""
        steps = int(self.steps)
        done = round(progress * self.settings.epochs * steps)
        return done // steps, done % steps


def _similarity(one: Tensor, other: Tensor, config: Config) -> Tensor:
    return one @ other.transpose(1, 2) / config.temperature


def _taught(
    extra: Mapping[str, Tensor],
    clips: dict[str, Tensor],
    targets: dict[str, Tensor],
    config: Config,
) -> dict[str, Tensor]:
    """Return what the anchor learns from its references: products of classes, features."""
    found = {name: extra[f"reference_{name}_clip"].detach() for name in clips}
    sure = {name: (value >= 0.5).float() for name, value in found.items()}
    relations, aligned = {}, {}
    for name, other, weight in (
        ("audio", "visual", config.audio_align_weight),
        ("visual", "audio", config.visual_align_weight),
    ):
        clip = clips[name].clamp(1e-7, 1 - 1e-7)
        high, low = CERTAIN[name]
        certain = ((found[name] >= high) | (found[name] <= low)).to(clip.dtype) * targets[name]
        wanted = certain * found[name] + (1 - certain) * clip.detach()
        relations[f"{name}_relation"] = config.relation_weight * relation_loss(clip, wanted)
        only = (sure[name] * (1 - sure[other])).sum(dim=1)
        share = only / sure[name].sum(dim=1).clamp(min=1)
        features = _similarity(extra[f"reference_{name}_second"].detach(), extra[name], config)
        apart = jomold.contrastive_loss(features, config.contrast_smoothing, share)
        aligned[f"{name}_align"] = weight * apart
    return relations | aligned


def _reference_loss(
    name: str, extra: Mapping[str, Tensor], clip: Tensor, target: Tensor, *, alone: bool
) -> Tensor:
    """Return the term of a reference: of the labels, of its tokens, later of the anchor too."""
    found, tokens = extra[f"reference_{name}_clip"], extra[f"reference_{name}_token"]
    of_tokens = TOKEN_WEIGHTS[name][not alone] * asymmetric_loss(tokens, target)
    of_labels = asymmetric_loss(found, target)
    if alone:
        return of_labels + of_tokens
    taught = (clip.detach() >= TAUGHT[name]).to(clip.dtype) * target
    return 0.5 * of_labels + of_tokens + 0.5 * asymmetric_loss(found, taught)


def check(config: Config, clips: ClipSource) -> None:
    """Raise `UsageError` for settings that cannot be trained with."""
    if not config.references:
        raise UsageError("coleaf is trained with its references; leave --no-references out")
    jomold.check(config, clips)


def prepare(training: Training) -> None:
    """Find the noise ratios as JoMoLD does, and how many steps an epoch has."""
    config, loss = training.config, training.loss
    assert isinstance(config, Config)
    assert isinstance(loss, Loss)
    loss.steps.fill_(len(steps_of(training.data.order(config, 1), config)))
    if config.clean:
        jomold.find_noise(training, loss, config)


CARD = ModelCard(
    name="coleaf",
    title="CoLeaF: A Contrastive-Collaborative Learning Framework for Weakly Supervised "
    "Audio-Visual Video Parsing",
    paper="Sardari, Mustafa, Jackson, Hilton, ECCV 2024",
    url="https://arxiv.org/abs/2405.10690",
    code="https://github.com/faeghehsardari/coleaf",
    needs=("vggish", "resnet152", "r2plus1d"),
    dataset="llp",
    truth="first",
    task=Parsing(modalities=("audio", "visual"), clip_threshold=0.52, second_threshold=0.25),
    experiments=(
        Experiment(
            name="coleaf",
            settings={},
            rows=(
                PaperRow(
                    paper=LAI_2025,
                    table="1",
                    row="CoLeaf [34]",
                    numbers=five("segment", 64.2, 64.4, 59.3, 62.6, 62.5)
                    | five("event", 57.6, 63.2, 54.2, 57.9, 55.6),
                ),
            ),
        ),
    ),
    differences=(
        "One optimiser steps anchor and references together. In the authors' program the "
        "references step first and are asked again before the anchor does: from the weights of the "
        "golden file its loss is then 8.07, here 8.58.",
        "One pass of the anchor gives both its gradients and, cut off from them, what the "
        "references and the choice of labels take of it; there each has its own dropout.",
        "The epoch with the best validation segment Type@AV is kept; the authors' program takes "
        "the mean of ten scores of events that are only heard or only seen, which are not here.",
        "The noise ratios are estimated as for JoMoLD, where the authors read the file that "
        "--noise-ratios takes.",
    ),
    departures=(
        Departure(
            says="structure: the mean of a second's frames is projected, where the paper's net "
            "bends each frame first and averages then"
        ),
    ),
    released=ReleasedWeights(
        unused=(
            "fc_global", "hat_encoder.norm1", "hat_encoder.norm2",
            "hat_encoder.layers.0.cls_tokens_a", "hat_encoder.layers.0.cls_tokens_v",
        ),
        settings={"references": False},
    ),
)  # fmt: skip

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, check=check, prepare=prepare
)
