"""Row groups of the table `snippets`: what a training that streams reads at once.

Letters: N clips, n clips of a part, T seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.data.clips import feature_column, without_seconds
from models.data.parquet import ParquetPart, open_part
from schemas import UsageError

Features = dict[str, NDArray[Any]]
Present = dict[str, NDArray[np.bool_]]
EXPONENT = np.uint16(0x7C00)
"""Bits of a half-precision number that are all set where it is not finite."""
BLOCK = 2**17
"""Values that are looked at at once: what is made on the way stays in the processor's cache."""


@dataclass(frozen=True)
class Part:
    """Rows that are read at once: a row group, or a whole file whose groups split a clip."""

    path: Path
    groups: tuple[int, ...]
    """Numbers of the row groups, in order."""


def find_parts(
    root: Path, paths: Sequence[Path], keys: Sequence[str], whole: bool = True
) -> tuple[list[Part], NDArray[np.int64]]:
    """Return the parts of some files, and the part of each clip, [N]; -1 for one in no file.

    `UsageError` for a clip that two files have, or that is not among `keys`, and where the table
    shall be `whole` also for one that no file has.
    """
    row_of = {key: row for row, key in enumerate(keys)}
    part_of = np.full(len(keys), -1, np.int64)
    parts: list[Part] = []
    for path in paths:
        for groups, names in _whole_clips(open_part(path)):
            for key in names:
                row = row_of.get(key, -1)
                if row < 0 or part_of[row] >= 0:
                    why = "is not in the table of clips" if row < 0 else "is in another file too"
                    raise UsageError(f"clip {key} of {path} {why}; run `beam validate`")
                part_of[row] = len(parts)
            parts.append(Part(path, groups))
    if whole and (part_of < 0).any():
        raise UsageError(without_seconds(root, keys[int((part_of < 0).argmax())]))
    return parts, part_of


def _whole_clips(file: ParquetPart) -> Iterator[tuple[tuple[int, ...], list[str]]]:
    """Yield the row groups of a file with the clips in each; all as one where a clip is split."""
    numbers = range(file.num_row_groups)
    columns = [
        file.read_row_group(number, columns=["clip_key"], use_threads=False)["clip_key"]
        for number in numbers
    ]
    names = [pc.unique(column).to_pylist() for column in columns]
    together = list(dict.fromkeys(key for own in names for key in own))
    if len(together) < sum(map(len, names)):
        yield tuple(numbers), together
        return
    for number, own in zip(numbers, names, strict=True):
        yield (number,), own


def read_part(
    part: Part, needs: Sequence[str], seconds: int
) -> tuple[dict[str, int], Features, Present]:
    """Read a part: line of each clip, features [n, T, *shape] as stored, presence [n, T].

    `UsageError` when a feature is missing or holds a value that is not finite. Arrays are not to be
    written to.
    """
    file = open_part(part.path)
    lacking = [name for name in needs if name not in file.schema_arrow.names]
    if lacking:
        raise UsageError(f"{part.path} has no feature {lacking[0]!r}; run the features job with it")
    columns = ["clip_key", "snippet_index", *needs]
    rows = file.read_row_groups(list(part.groups), columns=columns, use_threads=False)
    coded = pc.dictionary_encode(one_chunk(rows["clip_key"]))
    keys = coded.dictionary.to_pylist()
    line, second = coded.indices.to_numpy(), rows["snippet_index"].to_numpy()
    features: Features = {}
    present: Present = {}
    inside = second < seconds
    cells = line * seconds + second
    in_order = len(cells) == len(keys) * seconds and bool((cells == np.arange(len(cells))).all())
    for name in needs:
        values, there = feature_column(name, one_chunk(rows[name]), file.schema_arrow.field(name))
        refuse_not_finite(part.path, name, values)
        grid = (len(keys), seconds)
        if in_order:
            features[name], present[name] = values.reshape(*grid, *values.shape[1:]), there
        else:
            features[name] = np.zeros((*grid, *values.shape[1:]), values.dtype)
            present[name] = np.zeros(grid, np.bool_)
            place = line[inside], second[inside]
            features[name][place], present[name][place] = values[inside], there[inside]
        present[name] = present[name].reshape(grid)
    return {key: line for line, key in enumerate(keys)}, features, present


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; without a copy where it is one already, as Arrow makes it."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def refuse_not_finite(path: Path, name: str, values: NDArray[Any]) -> None:
    """Raise `UsageError` when a part holds a value that is not finite."""
    if not finite(values):
        raise UsageError(
            f"{path} has a value of {name} that is not finite; run `beam validate` and make its "
            "features again"
        )


def finite(values: NDArray[Any]) -> bool:
    """Return whether all values are finite.

    >>> finite(np.array([1.0, -6e4], np.float16)), finite(np.array([np.inf], np.float16))
    (True, False)
    """
    flat = values.reshape(-1)
    blocks = (flat[first : first + BLOCK] for first in range(0, len(flat), BLOCK))
    if values.dtype == np.float16:  # numpy looks at these one by one
        return not any(((part.view(np.uint16) & EXPONENT) == EXPONENT).any() for part in blocks)
    return all(bool(np.isfinite(part).all()) for part in blocks)
