"""What every model shares: settings, the batch that goes in, the outputs that come out, the card.

Letters used in all files: B clips of a batch, T seconds, C classes, D width of the shared space.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from numbers import Integral, Real
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from torch import Tensor

SIZES = (
    "hidden", "feedforward", "layers", "heads", "width", "embed", "branch", "branches", "recurrent",
    "inner", "channels", "snapshots", "units",
)  # fmt: skip
"""Settings by which some models say how large they are."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of training and evaluation; each model adds its own."""

    epochs: int = 40
    """How often the training clips are gone through."""
    batch_size: int = 16
    """Clips a pass through the net, in each process."""
    accumulate: int = 1
    """Passes a step: their gradients are averaged, so a step counts batch_size * accumulate clips
    in each process."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of products and convolutions in training; auto takes bf16 where the device has
    it, fp16 is for GPUs. Weights and losses stay fp32."""
    learning_rate: float = 3e-4
    """Adam's rate in the first epochs."""
    decay_every: int = 10
    """The rate is multiplied by `decay_factor` after so many epochs, again and again."""
    decay_factor: float = 0.1
    """What the rate is multiplied by; 1 keeps it."""
    schedule: Literal["step", "cosine"] = "step"
    """How the rate falls: by `decay_every` and `decay_factor`, or along half a cosine to zero after
    a twentieth of the epochs in which it rises."""
    weight_decay: float = 0.0
    """L2 penalty that Adam adds to the gradients."""
    keep: Literal["best", "last"] = "best"
    """The epoch that is kept: the best by validation segment Type@AV (ties take the later one),
    or the last."""
    gate: Literal["joint", "modality", "larger"] = "joint"
    """Which clip probability lets a class through at evaluation: the one of both modalities
    (official), the modality's own, or the larger of the two modalities'."""
    seed: int = 1
    """Fixes initial weights, order of clips and dropout."""
    classes: int = 25
    """Number of classes; the trainer takes it from the feature store."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; `auto` takes the GPU when there is one."""

    def __post_init__(self) -> None:
        self._refuse_wrong_kinds()
        for name in ("epochs", "batch_size", "accumulate", "decay_every", "classes", *SIZES):
            if getattr(self, name, 1) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        dropout = getattr(self, "dropout", 0.0)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, got {dropout}")
        for name in ("learning_rate", "decay_factor"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be 0 or above, got {self.weight_decay}")

    def _refuse_wrong_kinds(self) -> None:
        """Raise ValueError for a value that its setting does not take."""
        for name, kind in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if get_origin(kind) is Literal and value not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise ValueError(f"{name} must be one of {known}, got {value!r}")
            if kind is int and not isinstance(value, Integral):
                raise ValueError(f"{name} must be a whole number, got {value!r}")
            if kind is float and not isinstance(value, Real):
                raise ValueError(f"{name} must be a number, got {value!r}")

    def rate(self, epoch: int) -> float:
        """Adam's rate in an epoch, counted from 1."""
        if self.schedule == "step":
            return self.learning_rate * self.decay_factor ** ((epoch - 1) // self.decay_every)
        rise = self.epochs // 20
        if epoch <= rise:
            return self.learning_rate * epoch / (rise + 1)
        done = (epoch - 1 - rise) / (self.epochs - rise)
        return self.learning_rate * (1.0 + math.cos(math.pi * done)) / 2

    def to_json(self) -> dict[str, Any]:
        """Every setting, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The settings back from `to_json`; LookupError names a setting that does not exist."""
        known = sorted(one.name for one in fields(cls))
        for name in data:
            if name not in known:
                raise LookupError(f"unknown setting {name!r}; known: {', '.join(known)}")
        return cls(**data)


@dataclass(frozen=True, kw_only=True)
class TaggingConfig(TrainConfig):
    """Settings of models that say which classes a clip has, not when."""

    threshold: Literal["global", "class", "fixed"] = "global"
    """From which score on a class is a label: one threshold for all classes or one for each, tuned
    for micro F1 on the validation clips, or `fixed_threshold`."""
    fixed_threshold: float = 0.5
    """The threshold of `--threshold fixed`."""
    unlabelled: Literal["count", "skip"] = "count"
    """Clips that get no label: their true labels count as missed, or, as in the official script of
    DCASE 2017 when a submission does not list them, the clips are left out."""
    balanced: bool = False
    """Draw training clips so that every class comes up about equally often."""
    stream: Literal["auto", "yes", "no"] = "auto"
    """Read features from disk while training instead of holding them; auto does so above 4 GB."""
    buffer_clips: int = 1024
    """Streaming shuffles among so many clips at a time; twice as many are held."""
    workers: int = 0
    """Processes that read ahead when streaming; 0 reads in between."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.buffer_clips < 1 or self.workers < 0:
            raise ValueError(
                "buffer_clips must be at least 1 and workers at least 0, got "
                f"{self.buffer_clips} and {self.workers}"
            )
        if not 0.0 <= self.fixed_threshold <= 1.0:
            raise ValueError(f"fixed_threshold must be from 0 to 1, got {self.fixed_threshold}")


@dataclass(frozen=True, kw_only=True)
class LogMelConfig(TaggingConfig):
    """Settings of nets that learn log-mel from the beginning, as on AudioSet."""

    epochs: int = 20
    """How often the training clips are gone through."""
    batch_size: int = 32
    """Clips a pass through the net, in each process."""
    learning_rate: float = 1e-3
    """Adam's rate at the start."""
    schedule: Literal["step", "cosine"] = "cosine"
    """How the rate falls."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the training."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Some clips, ready for a model."""

    features: Mapping[str, Tensor]
    """Feature name to float [B, T, *shape]; zero where the clip has none. Of the tables
    `segments`, `proposals` and `components` the table's name to float [B, P, width], P instances at
    most."""
    present: Mapping[str, Tensor]
    """Feature name to bool [B, T], or [B, P]: where the clip has it."""
    labels: Tensor
    """Weak labels of the clips, float [B, C] of zeros and ones."""
    dropped_audio: Tensor | None = None
    """bool [B, C]: labels that a method has found not to be heard."""
    dropped_visual: Tensor | None = None
    """bool [B, C]: labels that a method has found not to be seen."""
    progress: float = 0.0
    """Share of the training that is done, counted as (batch + epoch * batches) / (epochs * batches)
    with epochs from 1, so that it ends a little above 1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Outputs:
    """What a parsing model says about a batch; None where it does not look at a modality."""

    clip: Tensor
    """Probability that the class is in the clip at all, [B, C]."""
    audio: Tensor | None = None
    """Probability that the class is heard in the second, [B, T, C]."""
    visual: Tensor | None = None
    """Probability that the class is seen in the second, [B, T, C]."""
    clip_audio: Tensor | None = None
    """Probability that the class is heard in the clip, [B, C]."""
    clip_visual: Tensor | None = None
    """Probability that the class is seen in the clip, [B, C]."""
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    """What only this model's own loss reads."""

    def float(self) -> "Outputs":
        """The same with every tensor in float32."""
        parts = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "extra"}
        wide: dict[str, Any] = {
            name: value if value is None else value.float() for name, value in parts.items()
        }
        return Outputs(**wide, extra={name: value.float() for name, value in self.extra.items()})


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """One row of a paper's table."""

    paper: str
    """Authors and year."""
    table: str
    """Which tables."""
    row: str
    """The row as the paper names it."""
    numbers: Mapping[str, float]
    """Score name to the printed number."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Settings that stand for one row, or several equal rows, of the papers' tables."""

    name: str
    """How the command line calls it."""
    settings: Mapping[str, Any]
    """What differs from the model's defaults."""
    rows: tuple[PaperRow, ...]
    """The rows with the paper's numbers."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model claims, and where that is written."""

    name: str
    """Name in the registry."""
    title: str
    """Title of the paper."""
    paper: str
    """Authors, venue and year."""
    url: str
    """Address of the paper."""
    code: str
    """Address of the authors' code, or empty."""
    needs: tuple[str, ...]
    """Columns of the table `snippets` that it reads, and names of tables of instances."""
    dataset: str
    """Data set of the paper."""
    modalities: tuple[Literal["audio", "visual"], ...]
    """What it parses, or listens and looks at."""
    experiments: tuple[Experiment, ...]
    """Every row that it can run; the first one is the model's defaults."""
    differences: tuple[str, ...]
    """Where it leaves the paper or the authors' code, one sentence each."""
    judge: str = ""
    """Tagging score that picks the epoch, for a model that says which classes a clip has; empty for
    a model that parses its seconds."""


def five(level: Literal["segment", "event"], *numbers: float) -> dict[str, float]:
    """Name the five numbers of a parsing table: audio, visual, audio-visual, Type@AV, Event@AV.

    >>> five("event", 1.0, 2.0, 3.0, 4.0, 5.0)["event_type_av"]
    4.0
    """
    kinds = ("audio", "visual", "audio_visual", "type_av", "event_av")
    return {f"{level}_{kind}": number for kind, number in zip(kinds, numbers, strict=True)}
