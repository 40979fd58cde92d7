"""What goes into a net and what comes out.

Letters used in all files: B clips of a batch, T seconds, C classes, D width of the shared space.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Some clips, ready for a net."""

    features: Mapping[str, Tensor]
    """Feature name to float [B, T, *shape]; zero where the clip has none. Of the tables
    `segments`, `proposals` and `components` the table's name to float [B, P, width], P instances at
    most."""
    present: Mapping[str, Tensor]
    """Feature name to bool [B, T], or [B, P]: where the clip has it."""
    labels: Tensor
    """Weak labels of the clips, float [B, C] of zeros and ones."""
    pseudo_labels: Mapping[str, Tensor] = field(default_factory=dict)
    """`audio` and `visual` to scores from 0 to 1 that another model gave each second, float
    [B, T, C]; empty for a net that does not ask for them."""
    dropped_audio: Tensor | None = None
    """bool [B, C]: labels that a method has found not to be heard."""
    dropped_visual: Tensor | None = None
    """bool [B, C]: labels that a method has found not to be seen."""
    quality: Tensor | None = None
    """float [C]: what a label of each class counts in the loss; None where all count whole."""
    progress: float = 0.0
    """Share of the training that is done, counted as (batch + epoch * batches) / (epochs * batches)
    with epochs from 1, so that it ends a little above 1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Outputs:
    """Probabilities that a net gives for a batch; None for a modality that it does not read."""

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
    """What only this net's own loss reads."""

    def float(self) -> "Outputs":
        """Return the same with every tensor in float32."""
        names = [item.name for item in fields(self) if item.name != "extra"]
        values = {name: getattr(self, name) for name in names}
        wide: dict[str, Any] = {
            name: value if value is None else value.float() for name, value in values.items()
        }
        return Outputs(**wide, extra={name: value.float() for name, value in self.extra.items()})
