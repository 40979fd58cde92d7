"""G-Blend: audio, video and both in one net, with losses weighted by how fast they overfit.

Paper: Wang, Tran, Feiszli, "What makes training multi-modal classification networks hard?",
    https://arxiv.org/abs/1905.12681; the row is in Fayek, Kumar, IJCAI 2020,
    https://arxiv.org/abs/2006.01595, table 3
Authors' code: https://github.com/facebookresearch/VMZ
Differences: see `CARD.differences`.
"""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import Size
from models.contract.card import Departure, Experiment, ModelCard, PaperRow
from models.contract.config import LogMelConfig, PixelConfig
from models.data.source import ClipSource
from models.nets.losses import clip_loss
from models.nets.tagging.audio_resnet50 import Trunk
from models.nets.tagging.fayek_visual import mean_over_seconds
from models.nets.tagging.logmel import BandNorm, fit_bands, refuse_other_bands, spectrogram
from models.nets.tagging.r2plus1d import R2Plus1D, mean_over_views, seen
from models.nets.tagging.r2plus1d_101 import ON_PIXELS, STORED_WIDTH
from models.tasks.tagging import Tagging
from models.training.loop import train_epoch
from models.training.method import NetMethod
from models.training.state import Training, begin
from schemas import UsageError

HEADS = ("audio", "visual", "joint")
PUBLISHED = {"audio": 0.239, "visual": 0.384, "joint": 0.377}
"""Weights of the losses for AudioSet, R(2+1)D-101, no pre-training, from the authors' code."""
WIDTH = 512
LEAST_OVERFIT = 0.13
"""Overfitting of a head counts as this share of the largest head's at least. Of two heads of equal
gain the weights are then 1 / 0.13^2 = 59 apart at most; those that the authors publish (VMZ, six
rows) are 56 apart at most, joint 0.506 and audio 0.009 of ip-CSN-152 on Kinetics."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config(LogMelConfig, PixelConfig):
    """G-Blend on AudioSet."""

    weights: Literal["offline", "online", "published"] = "offline"
    """Weights of the three losses: measured once before the training, measured again every
    `estimate_epochs` epochs, or those that the authors published for AudioSet."""
    estimate_epochs: Size = 3
    """Epochs that each head is trained for alone to measure its weight."""
    trunk: Literal["frames", "stored"] = "frames"
    """What the picture is read from: pixels of stored frames (extractor `frames`), or the stored
    vectors `r2plus1d` of the net of depth 18."""


class Model(nn.Module):
    """Two vectors of 512, one per modality, a head on each and one on both."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bands = BandNorm()
        self.hear = Trunk()
        self.see = R2Plus1D(config.depth, config.width) if config.trunk == "frames" else None
        seen_width = STORED_WIDTH if self.see is None else self.see.outputs
        self.listen = nn.Linear(2048, WIDTH)
        self.look = nn.Linear(seen_width, WIDTH)
        self.audio = nn.Linear(WIDTH, config.classes)
        self.visual = nn.Linear(WIDTH, config.classes)
        self.joint = nn.Sequential(
            nn.Linear(2 * WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, config.classes)
        )

    def forward(self, batch: Batch) -> Outputs:
        """Map `logmel` [B, T, 100, 64] and the picture to the three heads' scores.

        The picture is `frames` [B, V, F, S, S, 3], of which each view is joined with the whole
        sound, or `r2plus1d` [B, T, 512].
        """
        steps = self.hear(self.bands(spectrogram(batch)).frames)
        heard = torch.relu(self.listen(steps.mean(dim=2)))
        if self.see is None:
            vectors = [mean_over_seconds(batch.features["r2plus1d"], batch.present["r2plus1d"])]
            there = torch.ones_like(heard[:, :1])
        else:
            vectors, there = seen(self.see, batch), batch.present["frames"]
        views = [torch.relu(self.look(vector)) for vector in vectors]
        joint = [torch.sigmoid(self.joint(torch.cat([heard, one], 1)).float()) for one in views]
        visual = [torch.sigmoid(self.visual(one).float()) for one in views]
        return Outputs(
            clip=mean_over_views(joint, there),
            clip_audio=torch.sigmoid(self.audio(heard).float()),
            clip_visual=mean_over_views(visual, there),
        )


class Loss(nn.Module):
    """Weighted sum of the three heads' cross-entropies."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([PUBLISHED[name] for name in HEADS]))
        self.weights: Tensor

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `audio`, `visual`, `joint`, unweighted, their weights, and `total`."""
        scores = (outputs.clip_audio, outputs.clip_visual, outputs.clip)
        losses = [
            clip_loss(score, batch.labels, quality=batch.quality)
            for score in scores
            if score is not None
        ]
        total = (self.weights * torch.stack(losses)).sum()
        weights = {f"weight_{name}": self.weights[place] for place, name in enumerate(HEADS)}
        return {**dict(zip(HEADS, losses, strict=True)), **weights, "total": total}


Losses = Mapping[str, tuple[float, float]]
"""Training loss and validation loss of each head."""


def blend_weights(before: Losses, after: Losses) -> dict[str, float]:
    """Return weights of the heads from their losses before and after some epochs; the sum is 1.

    A head counts by its generalisation, what its validation loss fell by, over the square of its
    overfitting, what the gap between validation and training loss grew by (Wang et al., optimal
    blend). One whose validation loss rose has learned nothing to blend and gets no weight. A gap
    that shrank, or grew by less than `LEAST_OVERFIT` of the largest one, counts as that: a square
    of noise near zero would leave all weight to one head. Without any gain all weights are equal.
    """
    gain = {name: max(0.0, val - after[name][1]) for name, (_, val) in before.items()}
    overfit = {
        name: (after[name][1] - after[name][0]) - (val - train)
        for name, (train, val) in before.items()
    }
    largest = max(overfit.values())
    least = LEAST_OVERFIT * largest if largest > 0 else 1.0
    raw = {name: gain[name] / max(least, overfit[name]) ** 2 for name in before}
    total = sum(raw.values())
    if not total:
        logger.warning("no head's validation loss fell in the measurement: all weights are equal")
    return {name: value / total if total else 1 / len(raw) for name, value in raw.items()}


def needs(config: Config) -> tuple[str, ...]:
    """Return the sound and the frames, or the stored vectors in their place."""
    return ("logmel", "r2plus1d" if config.trunk == "stored" else "frames")


def check(config: Config, data: ClipSource) -> None:
    """Raise `UsageError` when the store lacks what the settings need."""
    refuse_other_bands(data)
    if config.weights != "published" and not data.has("val"):
        raise UsageError(
            f"{data.manifest.root} has no validation clips, which --weights {config.weights} "
            "needs; take --weights published"
        )


def prepare(training: Training) -> None:
    """Fit the bands; measure the weights when they are measured once."""
    model, config = training.model, training.config
    assert isinstance(model, Model)
    assert isinstance(config, Config)
    fit_bands(model.bands, training.data)
    if config.weights == "offline":
        set_weights(training)


def before_epoch(training: Training) -> None:
    """Measure the weights anew when they are measured again and again."""
    config = training.config
    assert isinstance(config, Config)
    if config.weights == "online" and (training.state.epoch - 1) % config.estimate_epochs == 0:
        set_weights(training)


def set_weights(training: Training) -> None:
    """Measure each head's weight from where the training stands; the net itself stays as it is.

    Each head is trained alone for some epochs, in a copy of the net.
    """
    model, loss, config = training.model, training.loss, training.config
    assert isinstance(model, Model)
    assert isinstance(loss, Loss)
    assert isinstance(config, Config)
    before = {name: losses(model, training.data, name) for name in HEADS}
    done = max(0, training.state.epoch - 1)
    after = {}
    for place, name in enumerate(HEADS):
        alone = Loss(config)
        alone.weights.copy_(torch.eye(len(HEADS))[place])
        net = copy.deepcopy(model)
        stage = begin(net, alone, training.data, config, training.task)
        stage.state.epoch = done
        for _ in range(min(config.estimate_epochs, config.epochs - done)):
            stage.state.end_epoch(train_epoch(stage))
        after[name] = losses(net, training.data, name)
    weights = blend_weights(before, after)
    logger.info("weights: %s", ", ".join(f"{name} {w:.3f}" for name, w in weights.items()))
    loss.weights.copy_(torch.tensor([weights[name] for name in HEADS]))


@torch.no_grad()
def losses(model: Model, data: ClipSource, head: str, most: int = 2000) -> tuple[float, float]:
    """Return the loss of one head on training and on validation clips, at most 2,000 of each."""
    model.eval()
    means = []
    for split in ("train", "val"):
        rows = data.sample(split, most)
        total = 0.0
        for batch in data.batches(rows, 32):
            outputs = model(batch)
            score = outputs.clip if head == "joint" else getattr(outputs, f"clip_{head}")
            loss = clip_loss(score, batch.labels, quality=batch.quality)
            total += loss.item() * len(batch.labels)
        means.append(total / len(rows))
    return means[0], means[1]


def _ours(name: str, what: str, **settings: str) -> Experiment:
    row = PaperRow(paper="no paper", table="none", row=f"{name}: {what}", numbers={})
    return Experiment(name=name, settings=settings, rows=(row,))


CARD = ModelCard(
    name="g_blend",
    title="What makes training multi-modal classification networks hard?",
    paper="Wang, Tran, Feiszli, CVPR 2020, as a baseline in Fayek, Kumar, IJCAI 2020",
    url="https://arxiv.org/abs/1905.12681",
    code="https://github.com/facebookresearch/VMZ",
    needs=("logmel", "frames"),
    dataset="audioset",
    task=Tagging(modalities=("audio", "visual"), selection_metric="map"),
    experiments=(
        Experiment(
            name="g_blend",
            settings={},
            rows=(
                PaperRow(
                    paper="Fayek, Kumar 2020",
                    table="3",
                    row="AudioVisual (G-Blend) [Wang et al., 2019a]",
                    numbers={"map": 41.80, "mauc": 97.50},
                ),
            ),
        ),
        _ours("g_blend-online", "weights measured again every few epochs", weights="online"),
        _ours("g_blend-published", "the authors' weights", weights="published"),
        _ours("g_blend-probe", "on stored vectors of R(2+1)D-18", trunk="stored"),
    ),
    differences=(
        "The audio trunk is a ResNet-50 on 64 bands of the whole clip; the authors' program hears "
        "log-mel of 100 x 40 during the frames that it sees.",
        "Vectors of 512 per modality, a joint head of two layers, and Adam are chosen here.",
        "The scores are those of the joint head.",
        "Weights are measured by training each head alone, from the start (offline) or from where "
        "the training stands (online), on at most 2,000 training and 2,000 validation clips. A "
        "head that got worse gets none, and overfitting counts as 0.13 of the largest at least: "
        "weights of heads of equal gain are 59 apart at most, the published ones 56.",
    ),
    departures=(
        Departure(
            says="trunk: stored features of R(2+1)D-18, where the paper trains a net of "
            "depth 101 on pixels",
            settings={"trunk": ("stored",)},
        ),
        Departure(
            says="front end: the audio trunk is a ResNet-50 on 64 bands, where the paper's "
            "sees log-mel of 100 x 40"
        ),
        *ON_PIXELS,
    ),
    ours=(
        "epochs",
        "batch_size",
        "learning_rate",
        "decay_every",
        "decay_factor",
        "schedule",
        "weight_decay",
        "estimate_epochs",
    ),
    train_splits=("unbalanced_train",),
)

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, needs=needs, check=check, prepare=prepare,
    before_epoch=before_epoch,
)  # fmt: skip
