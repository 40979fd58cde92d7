"""What pre-emption costs: workers that may be taken away at any moment, against the size of a unit.

A worker starts, then does one unit after the other until it is taken. What is committed stays; the
unit that it was at is done again by another. Lifetimes are taken as exponential: a worker is as
likely to be taken in its tenth hour as in its first.
"""

import math
from dataclasses import dataclass

_LARGEST_UNIT = 4096
_LARGEST_EXPONENT = 700.0


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Units on workers that may be taken away; all times are seconds of one worker."""

    clip_s: float
    """Time for one clip."""
    unit_s: float
    """Time that a unit takes beside its clips: the first decode, which no net hides, and the
    commit."""
    start_s: float = 0.0
    """Time from when a worker is paid until it begins its first unit: machine, image, nets."""
    life_s: float = math.inf
    """Mean lifetime of a worker."""

    def __post_init__(self) -> None:
        if not (self.clip_s > 0 and self.life_s > 0 and min(self.unit_s, self.start_s) >= 0):
            raise ValueError(f"need clip_s, life_s > 0 and unit_s, start_s >= 0, got {self}")

    def share_wasted(self, unit_size: int) -> float:
        """Return the share of the paid time that finishes no clip, with many units per worker.

        A unit takes t = unit_size * clip_s + unit_s. At a rate r = 1 / life_s a worker lives to
        finish its j-th with probability exp(-r (start_s + j t)), which is
        exp(-r start_s) / (exp(r t) - 1) units on average for a paid time of 1 / r.
        """
        useful = unit_size * self.clip_s
        unit = useful + self.unit_s
        if math.isinf(self.life_s):
            return self.unit_s / unit
        if unit / self.life_s > _LARGEST_EXPONENT:
            return 1.0
        finished = math.exp(-self.start_s / self.life_s) / math.expm1(unit / self.life_s)
        return 1 - finished * useful / self.life_s

    def best_unit_size(self) -> int:
        """Return the size that wastes least; near sqrt(2 unit_s life_s) / clip_s.

        >>> Workload(clip_s=6.0, unit_s=0.5, life_s=4 * 3600).best_unit_size()
        20
        """
        return min(range(1, _LARGEST_UNIT + 1), key=self.share_wasted)
