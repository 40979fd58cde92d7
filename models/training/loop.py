"""The training loop: epochs, batches, the epoch that is kept."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.contract.batch import Batch
from models.contract.config import TrainConfig
from models.data.clips import ClipData
from models.runtime import distributed as parallel
from models.runtime.console import progress_bar
from models.runtime.device import autocast_dtype
from models.tasks import tagging
from models.tasks.parsing import parsing_scores, predict
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
    net: nn.Module
    """The model, or what lets several processes train it together."""
    device: torch.device
    """Where the model is."""
    narrow: torch.dtype | None
    """Type of products and convolutions in training, None for float32."""
    scaler: torch.amp.GradScaler
    """Keeps the gradients of float16 away from zero."""
    judge: str = ""
    """Tagging score that picks the epoch; empty for a model that parses seconds."""
    before_epoch: Callable[["Training"], None] | None = None
    """What a model wants done when an epoch begins."""
    epoch: int = 0
    """Epochs begun; all of them are done when `step` is 0."""
    step: int = 0
    """Steps done of an epoch that is not finished."""
    sums: dict[str, float] = field(default_factory=dict)
    """Loss terms summed over the clips of those steps."""
    random: Tensor | None = None
    """State of the random numbers to go on with in the middle of an epoch."""
    kept_epoch: int = 0
    """Epoch of `kept`."""
    kept_score: float = -math.inf
    """Its validation score, in per cent."""
    kept: State = field(default_factory=dict)
    """Weights of the epoch that is kept."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One line an epoch: epoch, rate, loss terms, validation scores as `val_*`."""

    def restart(self) -> None:
        """Forget Adam's moments and the weights that were kept: another stage begins."""
        self.optimizer = adam(self.model, self.config)
        self.kept_epoch, self.kept_score, self.kept = 0, -math.inf, {}


def begin(
    model: nn.Module,
    loss: nn.Module,
    data: ClipData,
    config: TrainConfig,
    modalities: Sequence[str],
    judge: str = "",
) -> Training:
    """Make a training with a fresh optimiser; `judge` is that of the model's card."""
    device = next((one.device for one in model.parameters()), torch.device("cpu"))
    narrow = autocast_dtype(config.precision, device)
    return Training(
        model=model,
        net=parallel.wrap(model, unused=not judge),
        loss=loss.to(device),
        data=data,
        config=config,
        modalities=modalities,
        optimizer=adam(model, config),
        device=device,
        narrow=narrow,
        scaler=torch.amp.GradScaler(device.type, enabled=narrow == torch.float16),
        judge=judge,
    )


def adam(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Make Adam over the model's parameters, without moments yet."""
    return torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def fit(training: Training, save: Callable[[Training], None] | None = None) -> None:
    """Train up to the last epoch, from where the training stands; the kept weights are in `model`.

    `save` is called after every step and every epoch. Every epoch draws its order and its dropout
    from the seed and its own number, so a training that was stopped and goes on ends as one that
    was not. `JobError` when the loss is not finite.
    """
    config, data = training.config, training.data
    judged = data.has("val") if training.judge else "val" in data.dense_splits
    if config.keep == "best" and not judged:
        kind = "" if training.judge else " with dense truth"
        logger.warning("no validation clips%s: the last epoch is kept", kind)
    steps = math.ceil(len(data.rows("train")) / clips_a_step(config))
    done = steps * max(0, training.epoch - bool(training.step)) + training.step
    with progress_bar("training", config.epochs * steps, done) as count:
        while training.epoch < config.epochs or training.step:
            started = time.monotonic()
            line = train_epoch(training, count, save)
            if judged:
                line |= {f"val_{name}": value for name, value in validate(training).items()}
            training.step, training.sums = 0, {}
            training.history.append(line)
            keep(training, line.get(judge(training), -math.inf))
            _log(training, time.monotonic() - started)
            if save is not None:
                save(training)
    training.model.load_state_dict(training.kept)


def clips_a_step(config: TrainConfig) -> int:
    """Clips that one step of all processes together is made from."""
    return config.batch_size * config.accumulate * parallel.world()


def train_epoch(
    training: Training,
    count: Callable[[], None] = lambda: None,
    save: Callable[[Training], None] | None = None,
) -> dict[str, float]:
    """Go once through the training clips, or through the rest of an epoch that was begun.

    Gives epoch, rate and the mean of each loss term over the clips. `count` and `save` are called
    after every step.
    """
    config = training.config
    if not training.step:
        training.epoch += 1
        if training.before_epoch is not None:
            training.before_epoch(training)
    rate = config.learning_rate_at(training.epoch)
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    training.model.train()
    torch.manual_seed((config.seed * 1_000_003 + training.epoch) + 7_919 * parallel.rank())
    order = training.data.order(config, training.epoch)
    steps = steps_of(order, config)
    if training.random is not None:
        _set_random(training.random, training.device)
        training.random = None
    chunks = [own_chunks(step, config) for step in steps[training.step :]]
    batches = training.data.load([one for chunk in chunks for one in chunk])
    for clips, chunk in zip(steps[training.step :], chunks, strict=True):
        progress = (training.step + training.epoch * len(steps)) / (config.epochs * len(steps))
        _step(training, [next(batches) for _ in chunk], len(clips), progress)
        training.step += 1
        count()
        if save is not None:
            save(training)
    return {"epoch": training.epoch, "rate": rate} | _means(training, order)


def steps_of(order: Tensor, config: TrainConfig) -> list[Tensor]:
    """Clips of each step; a last one with less than two clips a process joins the one before.

    Batch statistics need two clips, and a process without one would keep the others waiting.
    """
    steps: list[Tensor] = list(order.split(clips_a_step(config)))  # type: ignore[no-untyped-call]
    if len(steps) > 1 and len(steps[-1]) < 2 * parallel.world():
        steps[-2:] = [torch.cat(steps[-2:])]
    return steps


def own_chunks(step: Tensor, config: TrainConfig) -> list[Tensor]:
    """Clips of each pass that this process makes of a step; all processes make as many passes."""
    own = step[parallel.rank() :: parallel.world()]
    passes = math.ceil(len(step) / parallel.world() / config.batch_size)
    passes = min(config.accumulate, passes, len(step) // parallel.world())
    return list(own.tensor_split(max(1, passes)))


def _step(training: Training, batches: Sequence[Batch], clips: int, progress: float) -> None:
    """One step of Adam on the mean gradient over `clips` clips of all processes."""
    training.optimizer.zero_grad(set_to_none=True)
    for index, batch in enumerate(batches):
        last = index == len(batches) - 1
        apart = nullcontext() if last else _unsynchronised(training.net)
        with apart:
            _backward(training, replace(batch, progress=progress), clips)
    training.scaler.step(training.optimizer)
    training.scaler.update()


def _backward(training: Training, batch: Batch, clips: int) -> None:
    narrow = training.narrow
    with torch.autocast(training.device.type, narrow, enabled=narrow is not None):
        outputs = training.net(batch)
    if narrow is not None:
        outputs = outputs.float()
    _refuse_divergence(training, outputs.clip)
    terms = training.loss(outputs, batch)
    _refuse_divergence(training, terms["total"])
    share = len(batch.labels) * parallel.world() / clips
    if terms["total"].requires_grad:
        training.scaler.scale(terms["total"] * share).backward()
    for name, value in terms.items():
        before = training.sums.get(name, 0.0)
        training.sums[name] = before + value.item() * len(batch.labels)


def _unsynchronised(net: nn.Module) -> AbstractContextManager[None]:
    """Keep gradients to this process: for all passes of a step but the last."""
    return net.no_sync() if isinstance(net, DistributedDataParallel) else nullcontext()


def _means(training: Training, order: Tensor) -> dict[str, float]:
    names = sorted(training.sums)
    held = torch.tensor([training.sums[name] for name in names], dtype=torch.float64)
    sums = parallel.total(held.to(training.device)).tolist()
    return {name: sums[names.index(name)] / len(order) for name in training.sums}


def random_state(device: torch.device) -> Tensor:
    """State of the random numbers, uint8 [n]; on a GPU those of the GPU behind the others."""
    parts = [torch.get_rng_state()]
    if device.type == "cuda":
        parts.append(torch.cuda.get_rng_state(device))
    return torch.cat(parts)


def _set_random(state: Tensor, device: torch.device) -> None:
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size])
    if device.type == "cuda" and len(state) > size:
        torch.cuda.set_rng_state(state[size:], device)


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
