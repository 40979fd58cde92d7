"""The order of an epoch: shuffled, drawn by class, or part by part of a store on disk.

Letters: n clips, C classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.config import TaggingConfig, TrainConfig


def shuffled(rows: Tensor, seed: int, epoch: int) -> Tensor:
    """Shuffle rows for one epoch; the same seed and epoch give the same order."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return rows[torch.randperm(len(rows), generator=generator)]


def balanced(rows: Tensor, labels: Tensor, seed: int, epoch: int, most: float = 20.0) -> Tensor:
    """Draw about as many clips [n] so that each class comes up about equally often.

    A clip counts as the rarest of its labels [n, C]: one over that class's clips, and at most
    `most` times in an epoch. The fraction of a count is drawn anew each epoch.
    """
    per_class = labels.sum(dim=0).clamp_min(1.0).reciprocal()
    blocks = labels.split(65_536)  # type: ignore[no-untyped-call]
    weight = torch.cat([(block * per_class).amax(dim=1) for block in blocks])
    copies = (weight / weight.mean().clamp_min(1e-12)).clamp_max(most)
    generator = torch.Generator().manual_seed(seed * 1_000_003 - epoch)
    fraction = torch.rand(len(rows), generator=generator)
    return rows.repeat_interleave((copies.cpu() + fraction).floor().long())


def class_pools(rows: Tensor, labels: Tensor, size: int, seed: int, epoch: int) -> Tensor:
    """Draw `size` clips, class after class from a pool in which large classes stand more often.

    A class of under 1,000 clips stands in the pool once, of under 2,000 twice, and so on, five
    times at most; the pool is gone through in random order, again and again, and each time the
    next clip of the class is taken (Xu et al., DCASE 2017: a batch of 44 has about as many clips of
    each place). `labels` is [n, C]; clips without a label are never drawn.
    """
    random = np.random.default_rng((seed, epoch))
    members = [random.permutation(np.flatnonzero(column)) for column in labels.cpu().numpy().T]
    pool = [
        index
        for index, own in enumerate(members)
        for _ in range(min(len(own) // 1000 + 1, 5) if len(own) else 0)
    ]
    if not pool:
        return rows[:0]
    places = np.concatenate([random.permutation(pool) for _ in range(-(-size // len(pool)))])[:size]
    drawn = np.empty(size, np.int64)
    for index in set(pool):
        at = np.flatnonzero(places == index)
        drawn[at] = np.resize(members[index], len(at))
    return rows[torch.from_numpy(drawn)]


def epoch_rows(rows: Tensor, labels: Tensor, config: TrainConfig, epoch: int) -> Tensor:
    """Return the training clips of one epoch, each as often as the net's settings say."""
    if not isinstance(config, TaggingConfig):
        return rows
    if config.pool_batches:
        size = config.pool_batches * config.batch_size
        return class_pools(rows, labels[rows], size, config.seed, epoch)
    return balanced(rows, labels[rows], config.seed, epoch) if config.balanced else rows


def epoch_order(rows: Tensor, labels: Tensor, config: TrainConfig, epoch: int) -> Tensor:
    """Return the training clips of one epoch in order; batches of pools keep their shares."""
    taken = epoch_rows(rows, labels, config, epoch)
    pooled = isinstance(config, TaggingConfig) and config.pool_batches
    return taken if pooled else shuffled(taken, config.seed, epoch)


def shuffled_parts(part: NDArray[np.int64], random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Group indices by their part; return the groups in random order."""
    by_part = np.argsort(part, kind="stable")
    groups = np.split(by_part, np.flatnonzero(np.diff(part[by_part])) + 1)
    return [groups[index] for index in random.permutation(len(groups))]


def deal_parts(
    rows: NDArray[np.int64], part_of: NDArray[np.int64], shares: int, random: np.random.Generator
) -> list[list[NDArray[np.int64]]]:
    """Deal the rows of whole parts, each to the share that has the fewest so far."""
    groups: list[list[NDArray[np.int64]]] = [[] for _ in range(shares)]
    sizes = np.zeros(shares, np.int64)
    for group in shuffled_parts(part_of[rows], random):
        share = int(sizes.argmin())
        groups[share].append(rows[group])
        sizes[share] += len(group)
    return groups


def mix_parts(
    groups: Sequence[NDArray[np.int64]], clips: Sequence[int], size: int,
    random: np.random.Generator,
) -> NDArray[np.int64]:  # fmt: skip
    """Put rows of parts end to end, shuffled within buffers of parts that hold `size` clips.

    `clips` are the clips of each part, also those of other splits: a reader holds whole parts, and
    a buffer must fit in it.
    """
    shuffled_rows: list[NDArray[np.int64]] = []
    buffer: list[NDArray[np.int64]] = []
    held = 0
    for index, group in enumerate(groups):
        buffer.append(group)
        held += clips[index]
        if held >= size or index == len(groups) - 1:
            shuffled_rows.append(random.permutation(np.concatenate(buffer)))
            buffer, held = [], 0
    return np.concatenate(shuffled_rows) if shuffled_rows else np.empty(0, np.int64)


def interleave(lanes: Sequence[NDArray[np.int64]], size: int) -> NDArray[np.int64]:
    """Take batches of `size` from each lane in turn, then what does not fill a batch."""
    full = min(len(lane) // size for lane in lanes)
    turns = np.stack([lane[: full * size].reshape(full, size) for lane in lanes], axis=1)
    return np.concatenate([turns.reshape(-1), *(lane[full * size :] for lane in lanes)])
