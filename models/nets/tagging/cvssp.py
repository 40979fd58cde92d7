"""Gated convolutional recurrent nets on log-mel: the winner of DCASE 2017 task 4, as a baseline.

Paper: Xu, Kong, Wang, Plumbley, "Surrey-CVSSP system for DCASE 2017 Challenge Task 4", 2017, and
    "Large-Scale Weakly Supervised Audio Classification Using Gated Convolutional Neural Network",
    ICASSP 2018, https://arxiv.org/abs/1710.00343; rows (f) and (g) of Parekh et al. 2018.
Authors' code: https://github.com/yongxuUSTC/dcase2017_task4_cvssp
Differences: see `CARD.differences`.

Letters: B clips, C classes, F = 240 frames, M = 64 bands, N frames after pooling.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from models.contract.batch import Batch, Outputs
from models.contract.bounds import AtLeast, Rate, Share, Size
from models.contract.card import Departure, ModelCard
from models.contract.config import TaggingConfig
from models.data.source import ClipSource
from models.nets.losses import clip_loss, with_total
from models.nets.standardise import Standardised
from models.nets.tagging import two_stream
from models.nets.tagging.gated_recurrence import GatedRecurrence
from models.tasks.sound_events import Timeline
from models.tasks.tagging import Tagging
from models.training.method import NetMethod
from models.training.state import Training
from schemas import UsageError

FRAMES, BANDS, CLIP_S = 240, 64, 10.0
SECONDS = {(24, BANDS), (100, BANDS)}
"""Shapes of a second of log-mel that it takes: windows of 64 ms, as the authors', and of 16 ms."""
"""Frames of a clip, bands of a frame, and seconds of a clip, as the net takes them."""
STATISTICS_CLIPS = 512
"""Training clips that mean and standard deviation of a band are taken from, at most."""


@dataclass(frozen=True, kw_only=True)
class Config(TaggingConfig):
    """Gated convolutional recurrent net on log-mel."""

    epochs: Size = 30
    batch_size: Size = 44
    learning_rate: Rate = 1e-3
    decay_factor: Rate = 1.0
    keep: Literal["best", "last"] = "last"
    threshold: Literal["global", "class", "fixed"] = "fixed"
    fixed_threshold: Share = 0.3
    nets: Literal["tagging", "detection", "both"] = "tagging"
    """The net that averages frames, the one with attention over frames, or the mean of both."""
    channels: Size = 64
    """Maps that come out of each gated block."""
    snapshots: Size = 10
    """The probabilities of the last so many epochs are averaged; 1 takes the kept epoch alone."""
    pool_batches: Annotated[int, AtLeast(0)] = 100


class GatedBlock(nn.Module):
    """Convolution whose one half of the maps opens the other: a learnt choice of what passes."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(inputs, 2 * channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(2 * channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [B, inputs, F, M] to [B, channels, F, M]."""
        return F.glu(self.norm(self.convolve(maps)), dim=1)


class GatedNet(nn.Module):
    """Seven gated blocks, one convolution, two GRUs of which one gates the other, a dense layer."""

    def __init__(self, config: Config, attention: bool) -> None:
        super().__init__()
        channels = config.channels
        shrink = (1, 2) if attention else (2, 2)  # attention keeps all 240 frames
        layers: list[nn.Module] = []
        for index in range(3):
            layers += [
                GatedBlock(1 if index == 0 else channels, channels),
                GatedBlock(channels, channels),
                nn.MaxPool2d(shrink),
            ]
        layers += [GatedBlock(channels, channels), nn.MaxPool2d((1, 2))]
        layers += [nn.Conv2d(channels, 4 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d((1, 4))]
        self.convolve = nn.Sequential(*layers)
        self.recur = GatedRecurrence(4 * channels, 2 * channels)
        self.classify = nn.Linear(4 * channels, config.classes)
        self.attend = nn.Linear(4 * channels, config.classes) if attention else None

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map standardised log-mel [B, F, M] to probabilities of clips [B, C] and frames [B, F, C].

        After pooling several frames share one probability.
        """
        maps = self.convolve(frames[:, None])  # [B, 4 * channels, N, 1]
        steps = maps.squeeze(3).transpose(1, 2)
        hidden = self.recur(steps)
        probability = self.classify(hidden).sigmoid()  # [B, N, C]
        each = probability.repeat_interleave(FRAMES // probability.shape[1], dim=1)
        if self.attend is None:
            return probability.mean(dim=1), each
        weight = self.attend(hidden).softmax(dim=2)  # over classes, as in the authors' code
        return (weight * probability).sum(dim=1) / weight.sum(dim=1).clamp_min(1e-7), each


class Model(Standardised):
    """One or two gated nets; at evaluation the mean over the nets and over their last epochs."""

    def __init__(self, config: Config) -> None:
        super().__init__(BANDS)
        self.config = config
        kinds = {"tagging": (False,), "detection": (True,), "both": (False, True)}[config.nets]
        self.nets = nn.ModuleList([GatedNet(config, attention) for attention in kinds])
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))
        self.kept = [name for name, _ in self._state()]
        for name, value in self._state():
            blank = value.new_zeros((config.snapshots - 1, *value.shape))
            self.register_buffer(_slot(name), blank)
        self.epoch: Tensor

    def forward(self, batch: Batch) -> Outputs:
        """Map `logmel` [B, T, 24 or 100, 64] to `clip` [B, C].

        In training `extra` holds the probabilities of each net, [B, C], under its number; at
        evaluation the probabilities over time, `frames` [B, F, C].
        """
        frames = self.standardise(on_frames(batch.features["logmel"]))
        if self.training:
            self._take_snapshot(batch.progress)
            each = [net(frames)[0] for net in self.nets]
            parts = {f"net{index}": value for index, value in enumerate(each)}
            return Outputs(clip=torch.stack(each).mean(dim=0), extra=parts)
        found = [net(frames) for net in self.nets]
        for slot in range(self._filled()):
            state = {name: getattr(self, _slot(name))[slot] for name in self.kept}
            found += [functional_call(net, _own(state, at), (frames,)) for at, net in self._all()]
        clips, over_time = zip(*found, strict=True)
        over = {"frames": torch.stack(over_time).mean(dim=0)}
        return Outputs(clip=torch.stack(clips).mean(dim=0), extra=over)

    def _state(self) -> list[tuple[str, Tensor]]:
        """Return the weights and running statistics of the nets."""
        return [
            (name, value)
            for name, value in self.nets.state_dict().items()
            if value.is_floating_point()
        ]

    def _all(self) -> list[tuple[int, nn.Module]]:
        return list(enumerate(self.nets))

    def _filled(self) -> int:
        """Return how many earlier epochs are kept."""
        return min(max(0, int(self.epoch) - 1), self.config.snapshots - 1)

    def _take_snapshot(self, progress: float) -> None:
        """Keep the weights of the last epoch, at the first batch of the next one."""
        epoch = int(progress * self.config.epochs + 1e-6)
        if epoch <= int(self.epoch):
            return
        self.epoch.fill_(epoch)
        if epoch > 1 and self.config.snapshots > 1:
            slot = (epoch - 2) % (self.config.snapshots - 1)
            for name, value in self._state():
                getattr(self, _slot(name))[slot] = value


def on_frames(logmel: Tensor) -> Tensor:
    """Return the log-mel of seconds, [B, T, 24 or 100, 64], as 240 frames [B, 240, 64].

    Ten seconds of 24 frames are these; of more, neighbouring ones are averaged.
    """
    whole = logmel.flatten(1, 2)
    if whole.shape[1] == FRAMES:
        return whole
    return F.adaptive_avg_pool1d(whole.transpose(1, 2), FRAMES).transpose(1, 2)


def check(config: Config, data: ClipSource) -> None:
    """Raise `UsageError` when the store's log-mel has other bands."""
    shape = data.shape("logmel")
    if shape not in SECONDS:
        raise UsageError(
            f"{data.manifest.root} has log-mel of {' x '.join(map(str, shape))} a second, and "
            "cvssp takes 24 or 100 frames x 64 bands; make the features again with extractor logmel"
        )


def prepare(training: Training) -> None:
    """Take mean and standard deviation of each band from training clips."""
    assert isinstance(training.model, Model)
    rows = training.data.rows("train")[:STATISTICS_CLIPS]
    frames = on_frames(training.data.batch(rows).features["logmel"])
    std = frames.std(dim=(0, 1)).clamp_min(1e-3)
    training.model.set_statistics(frames.mean(dim=(0, 1)), std)


def _slot(name: str) -> str:
    return f"snapshot_{name.replace('.', '_')}"


def _own(state: Mapping[str, Tensor], net: int) -> dict[str, Tensor]:
    start = f"{net}."
    return {
        name.removeprefix(start): value for name, value in state.items() if name.startswith(start)
    }


class Loss(nn.Module):
    """Cross-entropy of each net's clip probability."""

    def __init__(self, config: Config) -> None:
        super().__init__()

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return terms `net0`, `net1` in training, else `clip`; and `total`."""
        nets = {name: clip for name, clip in outputs.extra.items() if name != "frames"}
        parts = nets or {"clip": outputs.clip}
        return with_total(
            {
                name: clip_loss(clip, batch.labels, quality=batch.quality)
                for name, clip in parts.items()
            }
        )


CARD = ModelCard(
    name="cvssp",
    title="Surrey-CVSSP system for DCASE 2017 Challenge Task 4",
    paper="Xu, Kong, Wang, Plumbley, DCASE 2017, as a baseline in Parekh et al. 2018",
    url="https://arxiv.org/abs/1710.00343",
    code="https://github.com/yongxuUSTC/dcase2017_task4_cvssp",
    needs=("logmel",),
    dataset="dcase2017",
    task=Tagging(
        modalities=("audio",),
        selection_metric="micro_f1",
        timeline=Timeline(name="frames", hop_s=CLIP_S / FRAMES, window_s=CLIP_S / FRAMES),
    ),
    experiments=(
        two_stream.table_row("cvssp", "(g) CVSSP - Gated-CRNN-logMel", 54.2, 58.9, 50.2),
        two_stream.table_row(
            "cvssp-fusion", "(f) CVSSP - Fusion system", 55.6, 61.4, 50.8, nets="both"
        ),
    ),
    differences=(
        "The authors' log-mel is made by --logmel-windows 64ms; of a store with windows of 16 ms "
        "every 10 ms it takes the average over its 240 frames.",
        "Which systems the fusion joins is not published: here the mean of the tagging net and the "
        "net with attention over frames.",
        "Snapshots are those of the last ten epochs, 21 to 30 counted from 1, as in the authors' "
        "program; each epoch goes through the clips of a class in a new order, theirs goes on.",
        "The authors' file builds an eighth gated block and overwrites it; it is not built here.",
    ),
    departures=(
        Departure(
            says="front end: the store's log-mel (16 ms every 10 ms) averaged to 240 "
            "frames, where the paper has windows of 64 ms every 41.5 ms",
            recipe={"logmel_windows": ("16ms",)},
        ),
        Departure(
            says="system: the mean of two nets, because which nets the paper fuses is not "
            "published",
            settings={"nets": ("both",)},
        ),
    ),
    ours=(
        "threshold",
        "fixed_threshold",
    ),
)

METHOD = NetMethod[Config](
    card=CARD, config=Config, build=Model, loss=Loss, check=check, prepare=prepare
)
