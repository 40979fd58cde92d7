"""A training: the state that a save holds, and what it is wired to."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.contract.config import TrainConfig
from models.contract.task import Task
from models.data.source import ClipSource
from models.runtime import distributed as parallel
from models.runtime.device import autocast_dtype

Weights = dict[str, Tensor]


@dataclass(eq=False, kw_only=True)
class TrainState:
    """Where a training stands and what its epochs brought; the weights are in the net."""

    epoch: int = 0
    """Epochs begun; all of them are done when `step` is 0."""
    step: int = 0
    """Steps done of an epoch that is not finished."""
    sums: dict[str, float | Tensor] = field(default_factory=dict)
    """Loss terms summed over the clips of those steps, float64; numbers where they were saved."""
    random: Tensor | None = None
    """State of the random numbers to go on with in the middle of an epoch."""
    kept_epoch: int = 0
    """Epoch of `kept`."""
    kept_score: float = -math.inf
    """Its value of the selection metric."""
    kept: Weights = field(default_factory=dict)
    """Weights of the epoch that is kept."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One line per epoch: epoch, learning rate as `rate`, loss terms, validation scores as
    `val_*`."""

    def end_epoch(self, line: dict[str, float]) -> None:
        """Add the line of an epoch to the history."""
        self.step, self.sums = 0, {}
        self.history.append(line)

    def to_json(self) -> dict[str, Any]:
        """Return everything that is no tensor."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "sums": {name: float(value) for name, value in self.sums.items()},
            "kept_epoch": self.kept_epoch,
            "kept_score": self.kept_score,
            "history": self.history,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], kept: Weights, random: Tensor | None) -> Self:
        """Return the state back from `to_json` and its tensors."""
        return cls(
            epoch=int(data["epoch"]),
            step=int(data["step"]),
            sums=dict(data["sums"]),
            random=random if data["step"] else None,
            kept_epoch=int(data["kept_epoch"]),
            kept_score=float(data["kept_score"]),
            kept=kept,
            history=[dict(line) for line in data["history"]],
        )

    def check(self, epochs: int, weights: Mapping[str, Tensor]) -> None:
        """Raise ValueError when no training of so many epochs with such weights stands so."""
        ended = self.epoch - (self.step > 0)
        if not (0 <= ended <= self.epoch <= epochs and self.step >= 0):
            raise ValueError(f"it stands in epoch {self.epoch}, step {self.step}, of {epochs}")
        if len(self.history) != ended or not 0 <= self.kept_epoch <= ended:
            raise ValueError(f"its history is not that of {ended} epochs")
        shapes = {name: value.shape for name, value in weights.items()}
        if self.kept_epoch and {name: value.shape for name, value in self.kept.items()} != shapes:
            raise ValueError("its kept weights are of another net")
        if not all(isinstance(value, float | Tensor) for value in self.sums.values()):
            raise ValueError("its sums are no numbers")


@dataclass(eq=False, kw_only=True)
class Training:
    """A net, what trains it, and how far it has come."""

    model: nn.Module
    """The net, changed in place."""
    loss: nn.Module
    """(outputs, batch) to named terms, `total` among them."""
    data: ClipSource
    """Clips of all splits."""
    config: TrainConfig
    """Settings."""
    task: Task[Any, Any]
    """What the net is trained for."""
    optimizer: torch.optim.Optimizer
    """Adam over the parameters."""
    net: nn.Module
    """`model`, or what lets several processes train it together."""
    device: torch.device
    """Where the net is."""
    autocast_dtype: torch.dtype | None
    """Type of matrix products and convolutions in training, None for float32."""
    scaler: torch.amp.GradScaler
    """Keeps the gradients of float16 away from zero."""
    before_epoch: Callable[["Training"], None] = lambda training: None
    """The method's hook."""
    state: TrainState = field(default_factory=TrainState)
    """How far it has come."""
    finite: Tensor = field(default_factory=lambda: torch.tensor(True))
    """Whether all values were finite so far, a bool on the net's device."""

    def restart(self) -> None:
        """Forget the optimiser's state and the weights that were kept: another stage begins."""
        self.optimizer = make_optimizer(self.model, self.config)
        self.state.kept_epoch, self.state.kept_score, self.state.kept = 0, -math.inf, {}


def begin(
    model: nn.Module, loss: nn.Module, data: ClipSource, config: TrainConfig, task: Task[Any, Any]
) -> Training:
    """Return a training with a fresh optimiser."""
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    dtype = autocast_dtype(config.precision, device)
    return Training(
        model=model,
        net=parallel.wrap(model, unused=task.partial_gradients),
        loss=loss.to(device),
        data=data,
        config=config,
        task=task,
        optimizer=make_optimizer(model, config),
        device=device,
        autocast_dtype=dtype,
        scaler=torch.amp.GradScaler(device.type, enabled=dtype == torch.float16),
        finite=torch.tensor(True, device=device),
    )


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return Adam or AdamW over the net's parameters, without state yet."""
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(
        model.parameters(), lr=config.learning_rate, betas=(config.beta1, 0.999),
        weight_decay=config.weight_decay, fused=True,
    )  # fmt: skip
