"""The training loop: epochs, steps, passes, the epoch that is kept."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.contract.batch import Batch
from models.contract.config import TrainConfig
from models.runtime import distributed as parallel
from models.runtime.console import progress_bar
from models.training.state import Training
from schemas import JobError

CHECK_EVERY = 50
"""Steps on a GPU after which values are looked at that must be finite."""

logger = logging.getLogger(__name__)


class DivergenceError(JobError):
    """The values of a net are no longer finite."""


def fit(
    training: Training,
    save: Callable[[Training], None] | None = None,
    report: Callable[[Training], None] | None = None,
) -> None:
    """Train up to the last epoch, from where the training stands; end with the kept weights.

    `save` is called after every step and every epoch, `report` before it when an epoch is done.
    Every epoch draws its order and its dropout
    from the seed and its own number, so a training that was stopped and goes on ends as one that
    was not. `DivergenceError` when the loss is not finite.
    """
    config, state, task = training.config, training.state, training.task
    validates = task.can_validate(training.data)
    if config.keep == "best" and not validates:
        logger.warning("no %s: the last epoch is kept", task.validation_clips)
    steps = math.ceil(len(training.data.rows("train")) / clips_per_step(config))
    done = steps * max(0, state.epoch - bool(state.step)) + state.step
    with progress_bar("training", config.epochs * steps, done) as count:
        while state.epoch < config.epochs or state.step:
            started = time.monotonic()
            line = train_epoch(training, count, save)
            if validates:
                line |= {f"val_{name}": value for name, value in validate(training).items()}
            state.end_epoch(line)
            keep(training, line.get(f"val_{task.selection_metric}", -math.inf))
            _log(training, time.monotonic() - started)
            if report is not None:
                report(training)
            if save is not None:
                save(training)
    training.model.load_state_dict(state.kept)


def clips_per_step(config: TrainConfig) -> int:
    """Return the number of clips of one step, of all processes together."""
    return config.batch_size * config.accumulate * parallel.world()


def train_epoch(
    training: Training,
    count: Callable[[], None] = lambda: None,
    save: Callable[[Training], None] | None = None,
) -> dict[str, float]:
    """Train on every training clip once, or on the rest of an epoch that was begun.

    Return epoch, learning rate and the mean of each loss term over the clips. `count` and `save`
    are called after every step.
    """
    config, state = training.config, training.state
    if not state.step:
        state.epoch += 1
        training.before_epoch(training)
    learning_rate = config.learning_rate_at(state.epoch)
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate
    training.model.train()
    torch.manual_seed((config.seed * 1_000_003 + state.epoch) + 7_919 * parallel.rank())
    order = training.data.order(config, state.epoch)
    steps = steps_of(order, config)
    if state.random is not None:
        set_random_state(state.random, training.device)
        state.random = None
    left = steps[state.step :]
    passes = [own_passes(step, config) for step in left]
    batches = training.data.load([rows for step in passes for rows in step], state.epoch)
    for clips, own in zip(left, passes, strict=True):
        progress = (state.step + state.epoch * len(steps)) / (config.epochs * len(steps))
        _step(training, [next(batches) for _ in own], len(clips), progress)
        state.step += 1
        count()
        if state.step % CHECK_EVERY == 0:
            refuse_divergence(training)
        if save is not None:
            save(training)
    refuse_divergence(training)
    return {"epoch": state.epoch, "rate": learning_rate} | {
        name: float(value) / len(order) for name, value in state.sums.items()
    }


def steps_of(order: Tensor, config: TrainConfig) -> list[Tensor]:
    """Return the clips of each step; a last one of less than two clips per process joins another.

    Batch statistics need two clips, and a process without one would keep the others waiting.
    """
    steps: list[Tensor] = list(order.split(clips_per_step(config)))  # type: ignore[no-untyped-call]
    if len(steps) > 1 and len(steps[-1]) < 2 * parallel.world():
        steps[-2:] = [torch.cat(steps[-2:])]
    return steps


def own_passes(step: Tensor, config: TrainConfig) -> list[Tensor]:
    """Return the clips of each pass of this process; all processes make as many passes."""
    own = step[parallel.rank() :: parallel.world()]
    passes = math.ceil(len(step) / parallel.world() / config.batch_size)
    passes = min(config.accumulate, passes, len(step) // parallel.world())
    return list(own.tensor_split(max(1, passes)))


def _step(training: Training, batches: Sequence[Batch], clips: int, progress: float) -> None:
    """Take a step of Adam on the mean gradient over `clips` clips of all processes."""
    training.optimizer.zero_grad(set_to_none=True)
    own: dict[str, Tensor] = {}  # on the device: a number would wait for the GPU
    for index, batch in enumerate(batches):
        last = index == len(batches) - 1
        with nullcontext() if last else _unsynchronised(training.net):
            terms = _backward(training, replace(batch, progress=progress), clips)
        for name, value in terms.items():
            own[name] = own.get(name, 0.0) + value * len(batch.labels)
    if training.config.max_grad_norm:
        training.scaler.unscale_(training.optimizer)
        nn.utils.clip_grad_norm_(training.model.parameters(), training.config.max_grad_norm)
    training.scaler.step(training.optimizer)
    training.scaler.update()
    sums = training.state.sums
    for name, value in _of_all_processes(own).items():
        sums[name] = sums.get(name, 0.0) + value


def _backward(training: Training, batch: Batch, clips: int) -> dict[str, Tensor]:
    """Add the gradients of a pass; return its loss terms, means over its clips."""
    dtype = training.autocast_dtype
    with torch.autocast(training.device.type, dtype, enabled=dtype is not None):
        outputs = training.net(batch)
    if dtype is not None:
        outputs = outputs.float()
    _note_finite(training, outputs.clip)  # a loss may refuse what is no probability
    terms = training.loss(outputs, batch)
    _note_finite(training, terms["total"])
    share = len(batch.labels) * parallel.world() / clips
    if terms["total"].requires_grad:
        training.scaler.scale(terms["total"] * share).backward()
    return {name: value.detach().double() for name, value in terms.items()}


def _unsynchronised(net: nn.Module) -> AbstractContextManager[None]:
    """Keep gradients to this process: for all passes of a step but the last."""
    return net.no_sync() if isinstance(net, DistributedDataParallel) else nullcontext()


def _of_all_processes(own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return sums over all processes, so that what one of them saves holds for all."""
    if parallel.world() == 1:
        return own
    names = sorted(own)
    sums = parallel.total(torch.stack([own[name] for name in names]))
    return {name: sums[names.index(name)] for name in own}


def random_state(device: torch.device) -> Tensor:
    """Return the state of the random numbers, uint8 [n]; on a GPU those of the GPU behind it."""
    parts = [torch.get_rng_state()]
    if device.type == "cuda":
        parts.append(torch.cuda.get_rng_state(device))
    return torch.cat(parts)


def set_random_state(state: Tensor, device: torch.device) -> None:
    """Go on with the random numbers of `random_state`."""
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size])
    if device.type == "cuda" and len(state) > size:
        torch.cuda.set_rng_state(state[size:], device)


def _note_finite(training: Training, values: Tensor) -> None:
    """Note whether all values are finite; on a CPU, where it costs no waiting, refuse at once."""
    training.finite = training.finite & torch.isfinite(values.detach()).all()
    if training.device.type == "cpu":
        refuse_divergence(training)


def refuse_divergence(training: Training) -> None:
    """Raise `DivergenceError` when a value since the training began was not finite.

    On a GPU this waits for all steps so far, so it is asked every `CHECK_EVERY` steps and before
    anything is saved.
    """
    if not training.finite:
        raise DivergenceError(
            f"the model's values are no longer finite in epoch {training.state.epoch}; try a "
            f"--learning-rate below {training.config.learning_rate:g}"
        )


def validate(training: Training) -> dict[str, float]:
    """Return the task's scores of the validation clips."""
    task, data, config = training.task, training.data, training.config
    predictions = task.predict(training.model, data, data.rows("val"), config)
    return task.validate(predictions, data, config)


def keep(training: Training, score: float) -> None:
    """Keep the weights of this epoch when it is the best so far, or when the last one counts."""
    state = training.state
    if training.config.keep == "last" or score >= state.kept_score:
        state.kept_epoch, state.kept_score = state.epoch, score
        state.kept = {
            name: value.detach().clone() for name, value in training.model.state_dict().items()
        }


def _log(training: Training, seconds: float) -> None:
    state, metric = training.state, training.task.selection_metric
    line = state.history[-1]
    score = line.get(f"val_{metric}")
    scored = "" if score is None else f", validation {metric} {score:.4g}"
    logger.info(
        "epoch %d/%d: loss %.4f%s (%.1f s)",
        state.epoch, training.config.epochs, line["total"], scored, seconds,
    )  # fmt: skip
