"""Vocabularies: class names in a fixed order, to and from multi-hot vectors."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.messages import listed, quoted


@dataclass(frozen=True)
class Vocabulary:
    """Ordered class names; the position of a name is its index in every array."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            repeated = sorted(name for name, count in Counter(self.names).items() if count > 1)
            raise ValueError(f"class names repeat: {listed(repeated, most=10)}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Return the position of a class; LookupError with the known names when there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            known = listed(self.names, most=10)
            raise LookupError(
                f"unknown label {quoted(name)}; the {len(self)} classes are {known}"
            ) from None

    def multi_hot(self, labels: Sequence[Iterable[str] | None] | pa.ListArray) -> NDArray[np.bool_]:
        """Return labels of N clips as bool [N, C]; LookupError for a label that is no class.

        A byte per class, because there may be a million clips; None means no labels.

        >>> Vocabulary(("Dog", "Cat")).multi_hot([["Cat"], []]).tolist()
        [[False, True], [False, False]]
        """
        if not isinstance(labels, pa.ListArray):
            lists = [None if names is None else list(names) for names in labels]
            labels = pa.array(lists, pa.list_(pa.string()))
        names = labels.flatten()
        columns = pc.index_in(names, value_set=pa.array(self.names, pa.string()))
        if columns.null_count:
            self.index(names.filter(columns.is_null())[0].as_py())
        counts = pc.list_value_length(labels).fill_null(0).to_numpy(zero_copy_only=False)
        rows = np.repeat(np.arange(len(labels)), counts)
        hot = np.zeros((len(labels), len(self)), dtype=np.bool_)
        hot[rows, columns.to_numpy(zero_copy_only=False)] = True
        return hot
