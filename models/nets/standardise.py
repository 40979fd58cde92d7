"""Input that is standardised with the mean and the standard deviation of training clips."""

import torch
from torch import Tensor, nn


class Standardised(nn.Module):
    """A net whose input has mean 0 and standard deviation 1 over training clips, value by value."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.mean: Tensor
        self.std: Tensor

    def standardise(self, values: Tensor) -> Tensor:
        """Shift and scale values [..., width]."""
        return (values - self.mean) / self.std

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Take mean and standard deviation, [width] each."""
        self.mean.copy_(mean)
        self.std.copy_(std)
