"""Several processes that train one model, each on its share of every step's clips.

`torchrun --nproc-per-node 2 -- models/train.py NAME --features OUT` starts them. The gradients of a
step are the mean over all its clips, batch statistics too, so two processes train as one does with
the double batch.
"""

import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from models.runtime.rank import rank as rank

T = TypeVar("T")


def start(device: torch.device) -> torch.device:
    """Join the processes that torchrun has started, if it has; return the device of this one.

    Processes talk by NCCL on GPUs, one GPU each, and by Gloo otherwise.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if dist.get_rank() > 0:  # the first process speaks for all
        logging.getLogger("models").setLevel(logging.ERROR)
    return device


def stop() -> None:
    """Leave the group of processes, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def world() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def wait() -> None:
    """Wait until every process has come here."""
    if world() > 1:
        dist.barrier()


def of_first(make: Callable[[], T]) -> T:
    """Return what `make` returns in the first process, in all of them."""
    if world() == 1:
        return make()
    made: list[Any] = [make() if rank() == 0 else None]
    dist.broadcast_object_list(made)
    value: T = made[0]
    return value


def total(values: Tensor) -> Tensor:
    """Return the sum over the processes."""
    if world() > 1:
        dist.all_reduce(values)
    return values


def share_of(rows: Tensor) -> Tensor:
    """Return every n-th of the rows [N], which are this one of n processes' to compute.

    Where there are fewer rows than processes, each computes them all.
    """
    return rows[rank() :: world()] if len(rows) >= world() else rows


def joined(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Return what each process computed for its `share_of` `count` rows, in all processes [N, ...].

    The order is that of the rows.
    """
    if world() == 1 or count < world():
        return values
    parts: list[Any] = [None] * world()
    dist.all_gather_object(parts, values)
    whole = np.empty((count, *values.shape[1:]), values.dtype)
    for first, part in enumerate(parts):
        whole[first :: world()] = part
    return whole


class SharedBatchNorm(_BatchNorm):
    """Batch normalisation with mean and variance over the clips of all processes.

    `torch.nn.SyncBatchNorm` does this on GPUs only; the parameters have the same names.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"need at least 2 dimensions, got {input.ndim}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise [B, D, ...] over B and everything behind D."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        values = input.float()
        count = values.new_full((1,), values.numel() / values.shape[1])
        sums = torch.cat([values.sum(axes), (values * values).sum(axes), count])
        sums = all_reduce(sums)  # type: ignore[no-untyped-call]
        size = sums[-1]
        mean, square = sums[:-1].chunk(2)
        mean, square = mean / size, square / size
        variance = (square - mean * mean).clamp_min(0.0)
        self._track(mean.detach(), variance.detach() * size / (size - 1))
        scaled = (values - mean.view(shape)) * torch.rsqrt(variance + self.eps).view(shape)
        return (scaled * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        share = 0.1 if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
        self.num_batches_tracked.add_(1)


def share_statistics(model: nn.Module) -> None:
    """Let every batch normalisation of the model, changed in place, see all processes' clips."""
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
            shared.load_state_dict(child.state_dict())
            shared.to(next(child.parameters()).device)
            setattr(model, name, shared)
        else:
            share_statistics(child)


def wrap(model: nn.Module, *, unused: bool = False) -> nn.Module:
    """Wrap a net so that its backward pass averages gradients over processes; not when alone.

    `unused` allows for parameters that a step does not touch.
    """
    if world() == 1 or not any(one.requires_grad for one in model.parameters()):
        return model
    share_statistics(model)
    wrapped: Any = DistributedDataParallel(
        model, forward_sync_buffers=False, find_unused_parameters=unused
    )
    return wrapped
