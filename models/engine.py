"""The training loop: epochs, batches, the epoch that is kept."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from models import tagging
from models.base import TrainConfig
from models.data import ClipData, shuffled
from models.scoring import parsing_scores, predict
from schemas import JobError

logger = logging.getLogger(__name__)

State = dict[str, Tensor]


@dataclass(eq=False, kw_only=True)
class Training:
    """A model on its way: everything that the next epoch needs, and what the last ones brought."""

    model: nn.Module
    """The model, changed in place."""
    loss: nn.Module
    """(outputs, batch) to named terms, `total` among them."""
    data: ClipData
    """Clips of all splits."""
    config: TrainConfig
    """Settings."""
    modalities: Sequence[str]
    """What the model parses."""
    optimizer: torch.optim.Optimizer
    """Adam over the parameters, with its moments."""
    judge: str = ""
    """Tagging score that picks the epoch; empty for a model that parses seconds."""
    epoch: int = 0
    """Epochs done."""
    kept_epoch: int = 0
    """Epoch of `kept`."""
    kept_score: float = -math.inf
    """Its validation score, in per cent."""
    kept: State = field(default_factory=dict)
    """Weights of the epoch that is kept."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One line an epoch: epoch, rate, loss terms, validation scores as `val_*`."""


def begin(
    model: nn.Module,
    loss: nn.Module,
    data: ClipData,
    config: TrainConfig,
    modalities: Sequence[str],
    judge: str = "",
) -> Training:
    """Make a training with a fresh optimiser; `judge` is that of the model's card."""
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    return Training(
        model=model,
        loss=loss,
        data=data,
        config=config,
        modalities=modalities,
        optimizer=optimizer,
        judge=judge,
    )


def fit(training: Training, after_epoch: Callable[[Training], None] | None = None) -> None:
    """Train up to the last epoch, from where the training stands; the kept weights are in `model`.

    Every epoch draws its order and its dropout from the seed and its own number, so a training that
    was stopped and goes on ends as one that was not. `JobError` when the loss is not finite.
    """
    config, data = training.config, training.data
    rows = data.rows("train")
    judged = data.has("val") if training.judge else "val" in data.dense_splits
    if config.keep == "best" and not judged:
        kind = "" if training.judge else " with dense truth"
        logger.warning("no validation clips%s: the last epoch is kept", kind)
    total = config.epochs * math.ceil(len(rows) / config.batch_size)
    with progress_bar("training", total, done=total * training.epoch // config.epochs) as step:
        while training.epoch < config.epochs:
            started = time.monotonic()
            training.epoch += 1
            line = {"epoch": training.epoch, "rate": _set_rate(training)}
            line |= train_epoch(training, shuffled(rows, config.seed, training.epoch), step)
            if judged:
                line |= {f"val_{name}": value for name, value in validate(training).items()}
            training.history.append(line)
            keep(training, line.get(judge(training), -math.inf))
            _log(training, time.monotonic() - started)
            if after_epoch is not None:
                after_epoch(training)
    training.model.load_state_dict(training.kept)


def train_epoch(training: Training, order: Tensor, step: Callable[[], None]) -> dict[str, float]:
    """Go once through the clips in `order`; the mean of each loss term over them."""
    config = training.config
    torch.manual_seed(config.seed * 1_000_003 + training.epoch)
    training.model.train()
    sums: dict[str, float] = {}
    chunks = order.split(config.batch_size)  # type: ignore[no-untyped-call]
    for index, chosen in enumerate(chunks):
        progress = (index + training.epoch * len(chunks)) / (config.epochs * len(chunks))
        batch = training.data.batch(chosen, progress)
        training.optimizer.zero_grad(set_to_none=True)
        outputs = training.model(batch)
        _refuse_divergence(training, outputs.clip)
        terms = training.loss(outputs, batch)
        _refuse_divergence(training, terms["total"])
        terms["total"].backward()
        training.optimizer.step()
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + value.item() * len(chosen)
        step()
    return {name: value / len(order) for name, value in sums.items()}


def _refuse_divergence(training: Training, values: Tensor) -> None:
    if not torch.isfinite(values).all():
        raise JobError(
            f"the model's values are no longer finite in epoch {training.epoch}; try a "
            f"--learning-rate below {training.config.learning_rate:g}"
        )


def validate(training: Training) -> dict[str, float]:
    """Parsing or tagging scores of the validation clips."""
    model, data, config = training.model, training.data, training.config
    rows = data.rows("val")
    if training.judge:
        return tagging.validation_scores(tagging.predict_tags(model, data, rows), data, config)
    return parsing_scores(predict(model, data, rows, config), data, training.modalities)


def judge(training: Training) -> str:
    """Name in the history of the score that picks the epoch."""
    if training.judge:
        return f"val_{training.judge}"
    both = len(training.modalities) == 2
    return "val_segment_type_av" if both else f"val_segment_{training.modalities[0]}"


def keep(training: Training, score: float) -> None:
    """Keep the weights of this epoch when it is the best so far, or when the last one counts."""
    if training.config.keep == "last" or score >= training.kept_score:
        training.kept_epoch, training.kept_score = training.epoch, score
        training.kept = {
            name: value.detach().clone() for name, value in training.model.state_dict().items()
        }


def _set_rate(training: Training) -> float:
    config = training.config
    rate = config.learning_rate * config.decay_factor ** (
        (training.epoch - 1) // config.decay_every
    )
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    return rate


def _log(training: Training, seconds: float) -> None:
    line = training.history[-1]
    name = judge(training)
    digits = 4 if training.judge else 2
    found = f"{line[name]:.{digits}f}" if name in line else ""
    scored = found and f", validation {name.removeprefix('val_')} {found}"
    logger.info(
        "epoch %d/%d: loss %.4f%s (%.1f s)",
        training.epoch, training.config.epochs, line["total"], scored, seconds,
    )  # fmt: skip


@contextmanager
def progress_bar(what: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Show steps done and the time left, on a terminal only; gives a function that counts one."""
    console = Console(stderr=True)
    columns: list[Any] = [
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ]  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda: bar.advance(task)
