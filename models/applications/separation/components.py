"""Scores of the NMF components of one clip, and their shares in the source of a class.

Letters: K components, F bins, N spectrogram frames, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.applications.new_media import Run
from models.applications.separation.wiener import above, contest, scaled
from models.contract.masks import MaskRule
from models.data.clips import ClipData
from models.data.parquet import read_table
from schemas import TableName, UsageError


@dataclass(frozen=True, eq=False, kw_only=True)
class ComponentScores:
    """Components of the audio of one clip, with their scores."""

    w: Tensor
    """Spectra of the components, [K, F]."""
    h: Tensor
    """Activations of the components, [K, N]."""
    components: Tensor
    """Score of each component for each class, [K, C]: its part of the clip's score."""
    classes: Tensor
    """The same before the weights of the components, [K, C]: above 0 for a class, below against."""
    clip: NDArray[np.float32]
    """Score of each class, [C]."""
    seconds: int
    """Length of the clip on the second grid."""

    def shares(self, columns: Sequence[int], rule: MaskRule, tau: float) -> Tensor:
        """Return the share of each component in the source of each of J classes, [J, K]."""
        if rule == "contest":
            return contest(self.classes[:, columns].T)
        scores = self.components[:, columns].T
        return above(scores, tau) if rule == "hard" else scaled(scores)


def refuse_other_models(run: Run) -> None:
    """Raise `UsageError` for a run whose model does not score components."""
    if "components" not in run.needs:
        raise UsageError(
            f"{run.folder} scores {' and '.join(run.needs)}, not components of the audio; train "
            "ncp_mil-audio on a store with extractor ncp"
        )


@torch.no_grad()
def score_components(run: Run, data: ClipData, row: int, name: str) -> ComponentScores:
    """Score the components of one clip; `UsageError` when it has no audio."""
    if not data.present["components"][row].any():
        raise UsageError(f"{name} has no audio track, so there is nothing to separate")
    outputs = run.model(data.batch(torch.tensor([row])))
    w, h = (torch.tensor(column) for column in clip_columns(data, row, "components", "w", "h"))
    ((seconds,),) = clip_columns(data, row, "clips", "n_snippets")
    return ComponentScores(
        w=w,
        h=h,
        components=outputs.extra["components"][0, : len(w)],
        classes=outputs.extra["component_classes"][0, : len(w)],
        clip=outputs.clip[0].numpy(),
        seconds=seconds,
    )


def clip_columns(data: ClipData, row: int, table: TableName, *columns: str) -> list[list[Any]]:
    """Return some columns of the rows that a table has of one clip."""
    every = read_table(data.manifest, table, ["clip_key", *columns])
    own = every.filter(pc.field("clip_key") == data.keys[row])
    return [own[column].to_pylist() for column in columns]
