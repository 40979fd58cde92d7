"""Audio ConvNet on log-mel, trained by itself or in a sequence of teachers and students.

Paper: Fayek, Kumar, "Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data",
    IJCAI 2020, https://arxiv.org/abs/2006.01595, section 3.1 and table 1; the sequence (SeCoST) is
    Kumar, Ithapu, "SeCoST: Sequential Co-Supervision for Large Scale Weakly Labeled Audio Event
    Detection", ICASSP 2020, https://arxiv.org/abs/1910.11789
Authors' code: none published.
Differences: see `CARD.differences`.

Letters besides those of `models.contract.batch`: F frames of 10 ms, S segments.
"""

import copy
import logging
import math
from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Share, Size, ZeroOr
from models.contract.card import Experiment, ModelCard, PaperRow
from models.data.source import ClipSource
from models.nets.losses import clip_loss, with_total
from models.nets.tagging.augment import Augmentation, AugmentConfig
from models.nets.tagging.logmel import (
    FRAMES,
    BandNorm,
    Spectrogram,
    fit_bands,
    refuse_other_bands,
    spectrogram,
)
from models.tasks.sound_events import Timeline
from models.tasks.tagging import Tagging
from models.training.method import NetMethod
from models.training.state import Training

FIELD, STRIDE, MULTIPLE = 96, 32, 32
"""Frames that one segment sees, frames between two segments; clips are padded to a multiple."""
SMALL_SET = 5000
"""With fewer training clips than this, `auto` settings are those for small sets."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Config(AugmentConfig):
    """The audio ConvNet on AudioSet."""

    epochs: Size = 60
    """Number of epochs, all stages together."""
    batch_size: Size = 144
    """Clips a step; left at 144, a small set takes smaller batches (at least 20 steps an epoch)."""
    stages: Size = 3
    """Nets in the sequence, each the teacher of the next; 1 trains on the labels alone. Small sets
    with --augment auto take 1."""
    alpha: Share = 0.5
    """Share of the labels in a student's target; the rest is what its teacher says."""
    width: Annotated[int, AtLeast(4)] = 64
    """Channels of the first block; the others grow with it. A net of 16 learns small sets on a
    CPU."""
    crop_frames: Annotated[int, ZeroOr(FIELD)] = 224
    """Frames of a training crop under augmentation; 0 takes the whole clip."""

    @property
    def stage_epochs(self) -> int:
        """Epochs of each stage; the last one may be shorter."""
        return math.ceil(self.epochs / self.stages)

    def learning_rate_at(self, epoch: int) -> float:
        """Return Adam's learning rate in an epoch, counted from 1; each stage begins anew."""
        length = self.stage_epochs
        stage = replace(self, stages=1, epochs=length)
        return super(Config, stage).learning_rate_at((epoch - 1) % length + 1)


def conv(inputs: int, outputs: int, kernel: tuple[int, int], padding: int) -> nn.Sequential:
    """Return convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def blocks(width: int = 64) -> nn.Sequential:
    """Return B1 to B7 of table 1: [B, 1, F, 64] to [B, 16 width, S, 1]."""
    layers: list[nn.Module] = []
    inputs = 1
    for times, pool in ((1, 4), (2, 2), (4, 2), (8, 2)):
        outputs = times * width
        layers += [conv(inputs, outputs, (3, 3), 1), conv(outputs, outputs, (3, 3), 1)]
        layers += [nn.MaxPool2d(pool)]
        inputs = outputs
    wide, last = 32 * width, 16 * width
    layers += [conv(inputs, wide, (3, 2), 0), conv(wide, last, (1, 1), 0)]
    return nn.Sequential(*layers, conv(last, last, (1, 1), 0))


class Model(nn.Module):
    """Segments of about a second, each with a probability per class; the clip is their mean."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bands = BandNorm()
        self.blocks = blocks(config.width).to(memory_format=torch.channels_last)
        self.classify = nn.Conv2d(16 * config.width, config.classes, 1)
        self.augment = Augmentation(config, config.crop_frames) if config.augment == "yes" else None

    def forward(self, batch: Batch) -> Outputs:
        """Map `logmel` [B, T, 100, 64] to probabilities of clips and, in `extra`, segments."""
        logmel = self.bands(spectrogram(batch))
        labels = batch.labels
        if self.augment is not None and self.training:
            logmel, labels = self.augment(logmel, labels)
        segments, heard = self.segments(logmel)
        weight = heard / heard.sum(dim=1, keepdim=True)
        clip = torch.einsum("bsc,bs->bc", segments, weight)
        return Outputs(
            clip=clip,
            clip_audio=clip,
            extra={
                "segments": segments * heard[..., None],
                "targets": labels,
                "frames": logmel.frames,
            },
        )

    def segments(self, logmel: Spectrogram) -> tuple[Tensor, Tensor]:
        """Return probabilities [B, S, C] and the segments that count [B, S].

        A segment counts when half of its frames are there. Clips are padded with the training mean
        to a multiple of 32 frames: 10 s to 1024 frames, 30 segments. A clip without audio counts
        whole.
        """
        frames = F.pad(logmel.frames, (0, 0, 0, padding(logmel.frames.shape[1])))  # [B, F, 64]
        there = F.pad(logmel.present.float(), (0, frames.shape[1] - logmel.present.shape[1]))
        maps = self.blocks(frames[:, None].contiguous(memory_format=torch.channels_last))
        scores = torch.sigmoid(self.classify(maps).float())[..., 0].transpose(1, 2)
        heard = (F.avg_pool1d(there[:, None], FIELD, STRIDE)[:, 0] >= 0.5).float()
        return scores, torch.where(heard.sum(dim=1, keepdim=True) > 0, heard, 1.0)


def padding(frames: int) -> int:
    """Return the frames missing to the next multiple of 32, and to one segment at least."""
    return max(FIELD, math.ceil(frames / MULTIPLE) * MULTIPLE) - frames


class Loss(nn.Module):
    """Cross-entropy with the labels, or with labels and the teacher's probabilities mixed."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.alpha = config.alpha
        self.teacher = _frozen(Model(replace(config, augment="no"))) if config.stages > 1 else None
        self.register_buffer("taught", torch.zeros((), dtype=torch.bool))
        self.taught: Tensor

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `audio` and `total`."""
        target = outputs.extra["targets"]
        if self.teacher is not None and self.taught:
            target = self.alpha * target + (1.0 - self.alpha) * self.teach(outputs, batch)
        return with_total({"audio": clip_loss(outputs.clip, target, quality=batch.quality)})

    @torch.no_grad()
    def teach(self, outputs: Outputs, batch: Batch) -> Tensor:
        """Return the teacher's probabilities [B, C] of the frames that the student has seen."""
        assert self.teacher is not None
        frames = outputs.extra["frames"]
        there = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)
        segments, heard = self.teacher.segments(Spectrogram(frames, there))
        return torch.einsum("bsc,bs->bc", segments, heard / heard.sum(dim=1, keepdim=True))


def _frozen(model: Model) -> Model:
    return model.eval().requires_grad_(False)


def check(config: Config, data: ClipSource) -> None:
    """Raise `UsageError` when the store's log-mel is not what the net takes."""
    refuse_other_bands(data)


def adapt(config: Config, data: ClipSource) -> Config:
    """Return the settings with those for small sets, when there are few training clips."""
    clips = len(data.rows("train"))
    if config.augment != "auto":
        return config
    if clips >= SMALL_SET:
        return replace(config, augment="no")
    size = min(144, max(8, clips // 20)) if config.batch_size == 144 else config.batch_size
    stages = 1 if config.stages == 3 else config.stages
    logger.info(
        "%d training clips are few: batches of %d, %d stage(s), crops, masks and mixtures "
        "(--augment no for the paper's way)", clips, size, stages,
    )  # fmt: skip
    return replace(config, augment="yes", batch_size=size, stages=stages)


def prepare(training: Training) -> None:
    """Take the mean and the standard deviation of each band from the training clips."""
    assert isinstance(training.model, Model)
    fit_bands(training.model.bands, training.data)


def before_epoch(training: Training) -> None:
    """Begin a stage: what was kept becomes the teacher, the student starts from new weights."""
    config, model, loss = training.config, training.model, training.loss
    assert isinstance(config, Config)
    assert isinstance(model, Model)
    assert isinstance(loss, Loss)
    epoch = training.state.epoch
    if epoch == 1 or (epoch - 1) % config.stage_epochs:
        return
    assert loss.teacher is not None
    loss.teacher.load_state_dict(training.state.kept)
    loss.taught.fill_(True)
    bands = copy.deepcopy(model.bands.state_dict())
    torch.manual_seed(config.seed * 1_000_003 - epoch)
    model.load_state_dict(Model(config).state_dict())
    model.bands.load_state_dict(bands)
    training.restart()


FAYEK = "Fayek, Kumar 2020"

CARD = ModelCard(
    name="fayek_audio",
    title="Large Scale Audiovisual Learning of Sounds with Weakly Labeled Data",
    paper="Fayek, Kumar, IJCAI 2020",
    url="https://arxiv.org/abs/2006.01595",
    code="",
    needs=("logmel",),
    dataset="audioset",
    task=Tagging(
        modalities=("audio",), selection_metric="map",
        timeline=Timeline(name="segments", hop_s=STRIDE / FRAMES, window_s=FIELD / FRAMES),
    ),
    experiments=(
        Experiment(
            name="fayek_audio",
            settings={},
            rows=(
                PaperRow(
                    paper=FAYEK, table="2", row="Audio",
                    numbers={"map": 38.35, "mauc": 97.12},
                ),
                PaperRow(
                    paper=FAYEK, table="3", row="Audio (Ours)",
                    numbers={"map": 38.35, "mauc": 97.12},
                ),
            ),
        ),
        Experiment(
            name="fayek_audio-secost",
            settings={"stages": 4},
            rows=(
                PaperRow(
                    paper="Kumar, Ithapu 2020", table="abstract", row="SeCoST",
                    numbers={"map": 38.3},
                ),
            ),
        ),
    ),
    differences=(
        "Not in the paper, so chosen here: epochs, schedule, batch 144, three stages of equal "
        "length, labels and teacher mixed half and half, the teacher listening to the same crop.",
        "Clips are padded with the training mean to a multiple of 32 frames (10 s to the 1024 of "
        "table 1); a segment counts in the mean over segments when half of its frames are there.",
        "With fewer than 5,000 training clips, and --augment auto, the net trains on crops, masks, "
        "changed levels and mixtures of two clips, with smaller batches and in one stage.",
    ),
    ours=(
        "epochs", "batch_size", "learning_rate", "decay_every", "decay_factor", "schedule",
        "weight_decay", "stages", "alpha", "augment", "crop_frames", "time_shift", "freq_mask",
        "time_mask", "masks", "mixup", "mixup_share",
    ),
    train_splits=("unbalanced_train",),
)  # fmt: skip

METHOD = NetMethod[Config](
    card=CARD,
    config=Config,
    build=Model,
    loss=Loss,
    check=check,
    adapt=adapt,
    prepare=prepare,
    before_epoch=before_epoch,
)
