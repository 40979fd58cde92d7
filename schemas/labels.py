"""Vocabularies: class names in a fixed order, to and from multi-hot vectors; pseudo labels.

A row of table `pseudo_labels` is a class in a second of a modality, with the score from 0 to 1 that
another model gives it; a class without a row in a second scores 0. A clip of which something is
known has a row for each of its weak labels in every second, so that a clip of which nothing is
known is told apart by having no row.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.messages import listed, quoted

PSEUDO_LABELS = "pseudo_labels"
"""Name of the table."""
MODALITIES = ("audio", "visual")
"""What may stand in its column `modality`."""


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
        counts = pc.list_value_length(labels).fill_null(0).to_numpy()
        rows = np.repeat(np.arange(len(labels)), counts)
        hot = np.zeros((len(labels), len(self)), dtype=np.bool_)
        hot[rows, columns.to_numpy()] = True
        return hot


def find_label_problem(rows: pa.Table, classes: Collection[str]) -> str | None:
    """Return what is wrong with the first bad row of the table, as a sentence; None if none is.

    Wrong are a modality or a class that does not exist and a score that is no number from 0 to 1.
    """
    known = ((MODALITIES, "modality", "modalities"), (classes, "label", "classes of the store"))
    for allowed, column, what in known:
        strange = pc.invert(pc.is_in(rows[column], value_set=pa.array(list(allowed), pa.string())))
        if pc.any(strange).as_py():
            row = rows.filter(strange).slice(0, 1).to_pylist()[0]
            return (
                f"clip {row['clip_key']} has the {column} {quoted(row[column])}, and the {what} "
                f"are {listed(allowed, most=10)}"
            )
    score = rows["score"].to_numpy()
    bad = ~((score >= 0) & (score <= 1))  # NaN is neither
    if bad.any():
        row = rows.slice(int(np.argmax(bad)), 1).to_pylist()[0]
        return (
            f"clip {row['clip_key']} has the score {row['score']} for {quoted(row['label'])} in "
            f"second {row['snippet_index']}, and scores are numbers from 0 to 1"
        )
    return None
