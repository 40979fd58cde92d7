"""Which clips an epoch has, and in which order: pools of classes."""

import numpy as np
import torch

from models.contract.config import TaggingConfig
from models.data.sampling import class_pools, epoch_order


def test_pools_hold_large_classes_up_to_five_times() -> None:
    sizes = (40, 999, 1000, 4000, 9000)
    labels = torch.zeros(sum(sizes) + 50, len(sizes))
    starts = np.cumsum((0, *sizes))
    for index, (start, size) in enumerate(zip(starts, sizes, strict=False)):
        labels[start : start + size, index] = 1
    rows = torch.arange(len(labels)) + 7
    drawn = class_pools(rows, labels, 140, 1, 3)
    assert labels[drawn - 7].sum(dim=0).tolist() == [10, 10, 20, 50, 50]
    first = labels[drawn[:14] - 7].sum(dim=0).tolist()
    assert first == [1, 1, 2, 5, 5]
    assert torch.equal(class_pools(rows, labels, 140, 1, 3), drawn)
    assert not torch.equal(class_pools(rows, labels, 140, 1, 4), drawn)
    long = class_pools(rows, labels, 14 * 50, 1, 3)
    assert len(set(long[labels[long - 7][:, 0] == 1].tolist())) == 40
    config = TaggingConfig(pool_batches=10, batch_size=14, seed=1)
    assert torch.equal(epoch_order(rows, pad(labels), config, 3), drawn)
    assert not len(class_pools(rows, torch.zeros(len(rows), 2), 8, 1, 1))


def pad(labels: torch.Tensor) -> torch.Tensor:
    """Return labels of all clips, of which the first seven are not for training."""
    return torch.cat([labels.new_ones(7, labels.shape[1]), labels])
