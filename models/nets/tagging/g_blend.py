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
from models.contract.config import LogMelConfig
from models.data.source import ClipSource
from models.nets.losses import clip_loss
from models.nets.tagging.audio_resnet50 import Trunk
from models.nets.tagging.fayek_visual import mean_over_seconds
from models.nets.tagging.logmel import BandNorm, fit_bands, refuse_other_bands, spectrogram
from models.tasks.tagging import Tagging
from models.training.loop import train_epoch
from models.training.method import NetMethod
from models.training.state import Training, begin
from schemas import UsageError

HEADS = ("audio", "visual", "joint")
PUBLISHED = {"audio": 0.239, "visual": 0.384, "joint": 0.377}
"""Weights of the losses for AudioSet, R(2+1)D-101, no pre-training, from the authors' code."""
WIDTH = 512

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config(LogMelConfig):
    """G-Blend on AudioSet."""

    weights: Literal["published", "estimated"] = "published"
    """Weights of the three losses: the published ones, or estimated before the training."""
    estimate_epochs: Size = 3
    """Epochs that each head is trained for to estimate its weight."""


class Model(nn.Module):
    """Two vectors of 512, one per modality, a head on each and one on both."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bands = BandNorm()
        self.trunk = Trunk()
        self.listen = nn.Linear(2048, WIDTH)
        self.look = nn.Linear(512, WIDTH)
        self.audio = nn.Linear(WIDTH, config.classes)
        self.visual = nn.Linear(WIDTH, config.classes)
        self.joint = nn.Sequential(
            nn.Linear(2 * WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, config.classes)
        )

    def forward(self, batch: Batch) -> Outputs:
        """Map `logmel` [B, T, 100, 64], `r2plus1d` [B, T, 512] to the three heads' scores."""
        steps = self.trunk(self.bands(spectrogram(batch)).frames)
        heard = torch.relu(self.listen(steps.mean(dim=2)))
        visual = mean_over_seconds(batch.features["r2plus1d"], batch.present["r2plus1d"])
        seen = torch.relu(self.look(visual))
        logits = (self.joint(torch.cat([heard, seen], 1)), self.audio(heard), self.visual(seen))
        joint, audio, video = (torch.sigmoid(values.float()) for values in logits)
        return Outputs(clip=joint, clip_audio=audio, clip_visual=video)


class Loss(nn.Module):
    """Weighted sum of the three heads' cross-entropies."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([PUBLISHED[name] for name in HEADS]))
        self.weights: Tensor

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `audio`, `visual`, `joint`, unweighted, and `total`, weighted."""
        scores = (outputs.clip_audio, outputs.clip_visual, outputs.clip)
        losses = [clip_loss(score, batch.labels) for score in scores if score is not None]
        total = (self.weights * torch.stack(losses)).sum()
        return {**dict(zip(HEADS, losses, strict=True)), "total": total}


def blend_weights(
    before: Mapping[str, tuple[float, float]], after: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """Return weights of the heads from (training loss, validation loss) before and after epochs.

    A head counts by what it gained in validation loss, over the square of what its gap between
    validation and training loss grew (at least 1e-4); the sum is 1 (Wang et al., optimal blend).
    """
    raw = {}
    for name, (train, val) in before.items():
        gain = val - after[name][1]
        overfit = max(1e-4, (after[name][1] - after[name][0]) - (val - train))
        raw[name] = abs(gain) / overfit**2
    total = sum(raw.values())
    return {name: value / total if total else 1 / len(raw) for name, value in raw.items()}


def check(config: Config, data: ClipSource) -> None:
    """Raise `UsageError` when the store lacks what the settings need."""
    refuse_other_bands(data)
    if config.weights == "estimated" and not data.has("val"):
        raise UsageError(
            f"{data.manifest.root} has no validation clips, which --weights estimated needs; take "
            "--weights published"
        )


def prepare(training: Training) -> None:
    """Fit the bands; estimate the weights when the settings say so."""
    model, loss, config = training.model, training.loss, training.config
    assert isinstance(model, Model)
    assert isinstance(loss, Loss)
    assert isinstance(config, Config)
    fit_bands(model.bands, training.data)
    if config.weights == "published":
        return
    before = {name: losses(model, training.data, name) for name in HEADS}
    after = {}
    for index, name in enumerate(HEADS):
        alone = Loss(config)
        alone.weights.copy_(torch.eye(len(HEADS))[index])
        net = copy.deepcopy(model)
        stage = begin(net, alone, training.data, config, training.task)
        for _ in range(config.estimate_epochs):
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
            total += clip_loss(score, batch.labels).item() * len(batch.labels)
        means.append(total / len(rows))
    return means[0], means[1]


CARD = ModelCard(
    name="g_blend",
    title="What makes training multi-modal classification networks hard?",
    paper="Wang, Tran, Feiszli, CVPR 2020, as a baseline in Fayek, Kumar, IJCAI 2020",
    url="https://arxiv.org/abs/1905.12681",
    code="https://github.com/facebookresearch/VMZ",
    needs=("logmel", "r2plus1d"),
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
    ),
    differences=(
        "The visual trunk is not trained: the tables hold features of R(2+1)D-18; the audio trunk "
        "is a ResNet-50 on 64 bands, theirs sees 100 x 40 log-mel.",
        "Vectors of 512 per modality, a joint head of two layers, and Adam are chosen here.",
        "The scores are those of the joint head.",
        "--weights estimated trains each head alone from the same start and weighs it once.",
    ),
    departures=(
        Departure(
            says="trunk: stored features of R(2+1)D-18, where the paper trains a net of "
            "depth 101 on pixels"
        ),
        Departure(
            says="front end: the audio trunk is a ResNet-50 on 64 bands, where the paper's "
            "sees log-mel of 100 x 40"
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
        "estimate_epochs",
    ),
    train_splits=("unbalanced_train",),
)

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, check=check, prepare=prepare
)
