"""Settings of training and evaluation. A net's own settings subclass them."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, Self

from models.contract.bounds import AtLeast, Dropout, Rate, Seed, Share, Size, Weight, check


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of training and evaluation; each net adds its own."""

    epochs: Size = 40
    """Number of epochs."""
    batch_size: Size = 16
    """Clips per forward pass, in each process."""
    accumulate: Size = 1
    """Forward passes per optimiser step: their gradients are averaged, so a step counts
    batch_size * accumulate clips in each process."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Precision of matrix products and convolutions in training; auto takes bf16 where the device
    has it, fp16 is for GPUs. Weights and losses stay fp32."""
    learning_rate: Rate = 3e-4
    """Adam's learning rate in the first epochs; with a warm-up, its largest."""
    optimizer: Literal["adam", "adamw"] = "adam"
    """adam adds `weight_decay` to the gradients, adamw takes it off the weights."""
    beta1: Dropout = 0.9
    """Share of Adam's running mean of the gradients that a step keeps."""
    max_grad_norm: Weight = 0.0
    """Norm that the gradients of all weights together are scaled down to where it is larger; 0
    leaves them as they are."""
    decay_every: Size = 10
    """Decay the learning rate by `decay_factor` every N epochs."""
    decay_factor: Rate = 0.1
    """Factor of each decay; 1 keeps the learning rate."""
    schedule: Literal["step", "cosine", "warmup-cosine"] = "step"
    """Learning rate over the epochs: steps by `decay_every` and `decay_factor`; half a cosine to
    zero after a warm-up of a twentieth of the epochs; or half a cosine to `min_learning_rate` after
    a linear warm-up of `warmup_epochs`."""
    warmup_epochs: Annotated[int, AtLeast(0)] = 0
    """Epochs of the warm-up of schedule warmup-cosine; the last of them has the full rate."""
    min_learning_rate: Weight = 0.0
    """Learning rate at the end of schedule warmup-cosine."""
    weight_decay: Weight = 0.0
    """L2 penalty on the weights, as `optimizer` takes it."""
    keep: Literal["best", "last"] = "best"
    """Epoch whose weights are kept: the best by the task's selection metric on the validation clips
    (ties take the later one), or the last."""
    gate: Literal["joint", "modality", "larger"] = "joint"
    """Clip probability that lets a class through at evaluation: the joint one (official), the
    modality's own, or the larger of the two modalities'."""
    seed: Seed = 1
    """Seed of initial weights, order of clips and dropout."""
    classes: Size = 25
    """Number of classes; the trainer takes it from the feature store."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; `auto` takes the GPU when there is one."""

    def __post_init__(self) -> None:
        check(self)

    def learning_rate_at(self, epoch: int) -> float:
        """Return Adam's learning rate in an epoch, counted from 1."""
        if self.schedule == "step":
            return self.learning_rate * self.decay_factor ** ((epoch - 1) // self.decay_every)
        if self.schedule == "warmup-cosine":
            return self._after_warmup(epoch)
        warmup = self.epochs // 20
        if epoch <= warmup:
            return self.learning_rate * epoch / (warmup + 1)
        done = (epoch - 1 - warmup) / (self.epochs - warmup)
        return self.learning_rate * (1.0 + math.cos(math.pi * done)) / 2

    def _after_warmup(self, epoch: int) -> float:
        if epoch < self.warmup_epochs:
            return self.learning_rate * epoch / self.warmup_epochs
        left = max(1, self.epochs - self.warmup_epochs)
        fall = (1.0 + math.cos(math.pi * (epoch - self.warmup_epochs) / left)) / 2
        return self.min_learning_rate + (self.learning_rate - self.min_learning_rate) * fall

    def to_json(self) -> dict[str, Any]:
        """Return every setting, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the settings back from `to_json`; LookupError for one that does not exist."""
        known = sorted(setting.name for setting in fields(cls))
        for name in data:
            if name not in known:
                raise LookupError(f"unknown setting {name!r}; known: {', '.join(known)}")
        return cls(**data)


@dataclass(frozen=True, kw_only=True)
class TaggingConfig(TrainConfig):
    """Settings of nets that say which classes a clip has, not when."""

    threshold: Literal["global", "class", "fixed"] = "global"
    """Score from which a class is a label: one threshold for all classes or one per class, tuned
    for micro F1 on the validation clips, or `fixed_threshold`."""
    fixed_threshold: Share = 0.5
    """The threshold of `--threshold fixed`."""
    unlabelled: Literal["count", "skip"] = "count"
    """Clips that get no label: their true labels count as missed, or, as in the official script of
    DCASE 2017 when a submission does not list them, the clips are left out."""
    balanced: bool = False
    """Draw training clips so that every class comes up about equally often."""
    pool_batches: Annotated[int, AtLeast(0)] = 0
    """Batches of an epoch, drawn class after class from a pool in which large classes stand up to
    five times as often as small ones; 0 takes every training clip instead."""
    stream: Literal["auto", "yes", "no"] = "auto"
    """Read features from disk while training instead of holding them; auto does so above 4 GB."""
    buffer_clips: Size = 1024
    """Clips in the shuffle buffer when streaming; twice as many are held in memory."""
    workers: Annotated[int, AtLeast(0)] = 0
    """Threads that read ahead when streaming; 0 reads when a batch is asked for."""
    ontology: str = ""
    """AudioSet's `ontology.json`: each split gets scores that know which class is a kind of
    which."""
    label_quality: str = ""
    """AudioSet's `qa_true_counts.csv`: a label counts in the loss by the share of its class's
    labels that raters found to hold."""


@dataclass(frozen=True, kw_only=True)
class PixelConfig(TaggingConfig):
    """Settings of nets that learn from the pixels of stored frames."""

    side: Annotated[int, AtLeast(32)] = 224
    """Side of the square that the net sees, in pixels."""
    clip_frames: Size = 16
    """Consecutive stored frames that it sees at once."""
    views: Size = 10
    """Such pieces of a clip, spread evenly, whose scores are averaged at evaluation; 1 is the
    middle of the clip."""
    depth: Literal[18, 34, 50, 101, 152] = 101
    """Layers of R(2+1)D."""
    width: Annotated[int, AtLeast(4)] = 64
    """Channels of its first stage; fewer make a net that a CPU can train."""
    workers: Annotated[int, AtLeast(0)] = 2
    """Processes that decode frames; 0 decodes in the training process."""


@dataclass(frozen=True, kw_only=True)
class LogMelConfig(TaggingConfig):
    """Settings of nets that learn from log-mel spectrograms, as on AudioSet."""

    epochs: Size = 20
    """Number of epochs."""
    batch_size: Size = 32
    """Clips per forward pass, in each process."""
    learning_rate: Rate = 1e-3
    """Adam's learning rate at the start."""
    schedule: Literal["step", "cosine", "warmup-cosine"] = "cosine"
    """Learning rate over the epochs."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of matrix products and convolutions in training."""
