"""Vocabularies: class names in a fixed order, to and from multi-hot vectors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Vocabulary:
    """Ordered class names; the position of a name is its index in every array."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"class names repeat: {sorted(self.names)}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of a class name; LookupError with the known names when there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            known = ", ".join(self.names[:10]) + (", ..." if len(self) > 10 else "")
            raise LookupError(
                f"unknown label {name!r}; the {len(self)} classes are {known}"
            ) from None

    def multi_hot(self, labels: Sequence[Iterable[str]]) -> NDArray[np.float32]:
        """Labels of N clips as float32 [N, C] of zeros and ones.

        >>> Vocabulary(("Dog", "Cat")).multi_hot([["Cat"], []]).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
        """
        place = {name: index for index, name in enumerate(self.names)}
        hot = np.zeros((len(labels), len(self)), dtype=np.float32)
        for row, names in enumerate(labels):
            for name in names:
                hot[row, place[name] if name in place else self.index(name)] = 1.0
        return hot
