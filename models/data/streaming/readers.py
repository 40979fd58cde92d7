"""Readers of clips by number, which hold the parts of tables that were used last.

Letters: B clips of a batch, T seconds, P instances of the largest bag of a batch, n clips of a
part, R rows of a part.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.streaming.bag_rows import BagRows, read_bag_rows
from models.data.streaming.row_groups import Features, Part, Present, read_part

Tensors = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Features and presence by name."""

Rows = TypeVar("Rows")


class ClipReader(Protocol):
    """Reads features of clips by number."""

    def read(self, rows: Tensor) -> Tensors:
        """Read features as they are stored, and presence, of some clips."""

    def fresh(self, most: int) -> "ClipReader":
        """Return a reader of the same that holds nothing yet, and `most` clips at most."""


class PartReader(ABC, Generic[Rows]):
    """Reads the parts of a table; holds those that were used last, `most` clips at most."""

    def __init__(
        self, parts: Sequence[Part], part_of: NDArray[np.int64], keys: Sequence[str],
        needs: Sequence[str], seconds: int, most: int,
    ) -> None:  # fmt: skip
        self.parts, self.part_of, self.keys = parts, part_of, keys
        self.needs, self.seconds, self.most = needs, seconds, most
        self.held: OrderedDict[int, Rows] = OrderedDict()

    def fresh(self, most: int) -> "PartReader[Rows]":
        """Return a reader of the same that holds nothing yet, and `most` clips at most."""
        return type(self)(self.parts, self.part_of, self.keys, self.needs, self.seconds, most)

    def clips_held(self) -> int:
        """Return how many clips are in memory."""
        return sum(map(self.clips_in, self.held.values()))

    @abstractmethod
    def read(self, rows: Tensor) -> Tensors:
        """Read features as they are stored, and presence, of some clips."""

    @abstractmethod
    def read_part(self, part: int) -> Rows:
        """Read one part from disk."""

    @abstractmethod
    def clips_in(self, rows: Rows) -> int:
        """Return how many clips a part has."""

    def _part(self, part: int) -> Rows:
        if part in self.held:
            self.held.move_to_end(part)
            return self.held[part]
        self.held[part] = self.read_part(part)
        while len(self.held) > 1 and self.clips_held() > self.most:
            self.held.popitem(last=False)
        return self.held[part]


class Reader(PartReader[tuple[dict[str, int], Features, Present]]):
    """Reads what lies on the grid of seconds."""

    def read(self, rows: Tensor) -> Tensors:
        """Read features [B, T, *shape], as they are stored, and presence [B, T] of some clips."""
        features: Features = {}
        present = {name: np.zeros((len(rows), self.seconds), np.bool_) for name in self.needs}
        for index, row in enumerate(rows.tolist()):
            lines, values, there = self._part(int(self.part_of[row]))
            line = lines[self.keys[row]]
            for name in self.needs:
                if name not in features:
                    shape = (len(rows), *values[name].shape[1:])
                    features[name] = np.empty(shape, values[name].dtype)
                features[name][index], present[name][index] = values[name][line], there[name][line]
        return _tensors(features), _tensors(present)

    def read_part(self, part: int) -> tuple[dict[str, int], Features, Present]:
        """Read one part: line of each clip, features [n, T, *shape] and presence [n, T]."""
        return read_part(self.parts[part], self.needs, self.seconds)

    def clips_in(self, rows: tuple[dict[str, int], Features, Present]) -> int:
        """Return how many clips a part has."""
        return len(rows[0])


class BagReader(PartReader[BagRows]):
    """Reads bags of instances of one table; `part_of` is -1 for a clip that has none."""

    def read(self, rows: Tensor) -> Tensors:
        """Read instances [B, P, *shape], as they are stored, and presence [B, P] of some clips."""
        bags: list[Features | None] = [
            self._part(int(self.part_of[row])).bag(self.keys[row])
            if self.part_of[row] >= 0 else None
            for row in rows.tolist()
        ]  # fmt: skip
        first = next((bag for bag in bags if bag is not None), None)
        if first is None:
            first = self.read_part(0).bag(None)
        sizes = [0 if bag is None else len(bag[self.needs[0]]) for bag in bags]
        there = np.arange(max(1, *sizes))[None] < np.array(sizes)[:, None]
        features: Features = {}
        for name in self.needs:
            shape = first[name].shape[1:]
            features[name] = np.zeros((*there.shape, *shape), first[name].dtype)
            for index, (bag, size) in enumerate(zip(bags, sizes, strict=True)):
                if bag is not None:
                    features[name][index, :size] = bag[name]
        return _tensors(features), _tensors({name: there.copy() for name in self.needs})

    def read_part(self, part: int) -> BagRows:
        """Read one part."""
        return read_bag_rows(self.parts[part], self.needs)

    def clips_in(self, rows: BagRows) -> int:
        """Return how many clips a part has."""
        return len(rows.bounds)


class JoinedReader:
    """Reads from several tables."""

    def __init__(self, readers: Sequence[ClipReader]) -> None:
        self.readers = tuple(readers)

    def read(self, rows: Tensor) -> Tensors:
        """Read features as they are stored, and presence, of some clips."""
        features: dict[str, Tensor] = {}
        present: dict[str, Tensor] = {}
        for reader in self.readers:
            values, there = reader.read(rows)
            features, present = features | values, present | there
        return features, present

    def fresh(self, most: int) -> "JoinedReader":
        """Return a reader of the same that holds nothing yet, `most` clips of each table."""
        return JoinedReader([reader.fresh(most) for reader in self.readers])


def _tensors(arrays: Features | Present) -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
