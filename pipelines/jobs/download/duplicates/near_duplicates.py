"""Clips that look or sound nearly alike, found by their perceptual hashes.

Two clips are near duplicates when most of their frames, or their sound and some of their frames,
differ in few bits. Candidates share a quarter of one hash, so nobody compares all with all.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 10
"""Bits of 64 in which two pictures of one thing may differ, as is usual for such hashes."""
_QUARTERS = 4
_MOST_IN_BUCKET = 200
"""A quarter that more clips share tells nothing."""


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of clips of different videos that are nearly the same."""

    pairs: tuple[tuple[str, str], ...]
    across_splits: tuple[tuple[str, str], ...]
    """Those of which one is of another split than the other."""

    def to_json(self, most: int = 50) -> dict[str, Any]:
        """Return counts and the first pairs, those across splits first."""
        inside = [pair for pair in self.pairs if pair not in set(self.across_splits)]
        return {
            "pairs": len(self.pairs),
            "across_splits": len(self.across_splits),
            "first": [list(pair) for pair in [*self.across_splits, *inside][:most]],
        }


def find_near_duplicates(
    hashes: Mapping[str, str], videos: Mapping[str, str], splits: Mapping[str, str]
) -> NearDuplicates:
    """Return the near duplicates among clips, by clip key; clips of one video are not compared."""
    keys = sorted(key for key, text in hashes.items() if text)
    if not keys:
        return NearDuplicates((), ())
    table = np.array([_words(hashes[key]) for key in keys], np.uint64).reshape(len(keys), -1)
    pairs = tuple(
        (keys[one], keys[other])
        for one, other in sorted(_candidates(table))
        if videos.get(keys[one]) != videos.get(keys[other]) and _are_near(table[one], table[other])
    )
    across = tuple(pair for pair in pairs if splits.get(pair[0], "") != splits.get(pair[1], ""))
    return NearDuplicates(pairs, across)


def _words(text: str) -> list[int]:
    """Return the hashes of a clip's frames, then of its sound, 0 for what tells nothing."""
    frames, _, sound = text.partition("-")
    return [int(frames[place : place + 16], 16) for place in range(0, len(frames), 16)] + [
        int(sound or "0", 16)
    ]


def _candidates(table: NDArray[np.uint64]) -> set[tuple[int, int]]:
    """Return pairs of rows that share 16 bits of one hash at the same place."""
    found: set[tuple[int, int]] = set()
    for column, quarter in itertools.product(range(table.shape[1]), range(_QUARTERS)):
        buckets: dict[int, list[int]] = defaultdict(list)
        for row, word in enumerate(table[:, column].tolist()):
            if word:
                buckets[(word >> (16 * quarter)) & 0xFFFF].append(row)
        for rows in buckets.values():
            if len(rows) <= _MOST_IN_BUCKET:
                found.update(itertools.combinations(rows, 2))
    return found


def _are_near(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> bool:
    """Tell whether at least three hashes of both tell something, and most of these are near."""
    told = (one != 0) & (other != 0)
    bits = np.bitwise_count(one ^ other)
    near = told & (bits <= MOST_BITS)
    return bool(told.sum() >= 3 and near.sum() > told.sum() / 2)
