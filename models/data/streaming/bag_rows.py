"""Bags of instances of some clips, as a training that streams reads them.

Letters: P instances of a clip, R rows of a part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.data.bags import BAGS, instance_values, refuse_lacking
from models.data.parquet import open_part
from models.data.streaming.row_groups import Part, refuse_not_finite


@dataclass(frozen=True, eq=False)
class BagRows:
    """Instances of some clips, those of a clip behind each other."""

    bounds: Mapping[str, tuple[int, int]]
    """First row of each clip that has some, and the one after its last."""
    values: Mapping[str, NDArray[Any]]
    """Instances [R, *shape] by the name under which models ask for them, as they are stored."""

    def bag(self, key: str | None) -> dict[str, NDArray[Any]]:
        """Return the instances of a clip, [P, *shape] by name; P is 0 for one that has none."""
        first, last = self.bounds.get(key or "", (0, 0))
        return {name: held[first:last] for name, held in self.values.items()}


def read_bag_rows(part: Part, names: Sequence[str]) -> BagRows:
    """Read instances of one table by names of `BAGS`; they keep their order within a clip.

    `UsageError` when a column is missing or a value is not finite.
    """
    file, kinds = open_part(part.path), [BAGS[name] for name in names]
    for kind in kinds:
        refuse_lacking(part.path, kind, file.schema_arrow)
    columns = list(dict.fromkeys(column for kind in kinds for column in kind.columns))
    rows = file.read_row_groups(list(part.groups), columns=["clip_key", *columns])
    rows = rows.combine_chunks()
    coded = pc.dictionary_encode(rows["clip_key"]).combine_chunks()
    line = coded.indices.to_numpy()
    order = np.argsort(line, kind="stable")
    ends = np.cumsum(np.bincount(line, minlength=len(coded.dictionary))).tolist()
    bounds = dict(
        zip(coded.dictionary.to_pylist(), zip([0, *ends], ends, strict=False), strict=True)
    )
    in_order = bool((np.diff(line) >= 0).all())
    held = {}
    for name, kind in zip(names, kinds, strict=True):
        values, _ = instance_values(rows, kind)
        refuse_not_finite(part.path, name, values)
        held[name] = values if in_order else values[order]
    return BagRows(bounds, held)
