"""What a model of components hears in one clip: scores of each, and their shares in a source."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as `python models/separate.py`: import this checkout
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.applications import separation as nmf
from models.applications.new_media import Run
from models.data.clips import ClipData
from models.data.parquet import read_table
from schemas import TableName, UsageError

PROGRAM = "models/separate.py"
Wave = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Heard:
    """What a model of components hears in one clip."""

    w: Tensor
    """Spectra of the components, [K, F]."""
    h: Tensor
    """Their activations, [K, N]."""
    components: Tensor
    """Score of each component for each class, [K, C]."""
    clip: NDArray[np.float32]
    """Score of each class, [C]."""
    seconds: int
    """Length of the clip on the second grid."""


def refuse_other_models(run: Run) -> None:
    """Raise `UsageError` for a run whose model does not score components."""
    if "components" not in run.needs:
        raise UsageError(
            f"{run.folder} scores {' and '.join(run.needs)}, not components of the sound; train "
            "ncp_mil-audio on a store with extractor ncp"
        )


@torch.no_grad()
def hear(run: Run, data: ClipData, row: int, name: str) -> Heard:
    """Score the components of one clip; `UsageError` when it has no sound."""
    if not data.present["components"][row].any():
        raise UsageError(f"{name} has no sound track, so there is nothing to separate")
    outputs = run.model(data.batch(torch.tensor([row])))
    w, h = (torch.tensor(column) for column in rows_of(data, row, "components", "w", "h"))
    ((seconds,),) = rows_of(data, row, "clips", "n_snippets")
    return Heard(
        w=w,
        h=h,
        components=outputs.extra["components"][0, : len(w)],
        clip=outputs.clip[0].numpy(),
        seconds=seconds,
    )


def rows_of(data: ClipData, row: int, table: TableName, *columns: str) -> list[list[Any]]:
    """Some columns of the rows that a table has of one clip."""
    found = read_table(data.manifest, table, ["clip_key", *columns])
    own = found.filter(pc.field("clip_key") == data.keys[row])
    return [own[column].to_pylist() for column in columns]


def weights_for(run: Run, heard: Heard, label: str, rule: nmf.Rule, tau: float) -> Tensor:
    """Share of each component in the source of a class, [K]."""
    return nmf.component_weights(heard.components[:, run.classes.index(label)], rule, tau)
