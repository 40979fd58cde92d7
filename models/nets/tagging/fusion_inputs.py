"""Scores of single-modal models as the input of a fusion: read from runs, or made by training them.

Letters: N clips, C classes.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.config import TaggingConfig
from models.data.parquet import read_table
from models.data.scored import AT_ONCE, ScoredClips, ScoreTable
from models.data.source import ClipSource, ClipTable
from models.data.splits import folds
from models.data.streaming.clips import open_data
from models.nets.tagging import fayek_audio, fayek_visual
from models.runtime import distributed as parallel
from models.training import run_folder as runs
from models.training.method import NetMethod
from models.training.session import Session, train
from schemas import UsageError
from schemas.features import PRESENCE

METHODS: dict[str, NetMethod[Any]] = {
    "audio": fayek_audio.METHOD,
    "visual": fayek_visual.METHOD,
}
"""What is trained for each modality when no run is given."""

logger = logging.getLogger(__name__)


def derive(data: ClipSource, config: Any, run: Path) -> ScoredClips:
    """Return the clips with features `audio` and `visual`, the scores of two runs.

    `config` is that of `models.nets.tagging.fusion`, `run` its run folder. What is trained on the
    way stays there and is used again.
    """
    scores = {}
    for side, folder in fused_runs(config, run).items():
        given = getattr(config, f"{side}_run")
        if not given and not (folder / runs.RESULTS).is_file():
            train_single(side, data, config, folder)
        scores[side] = read_scores(folder, data)
        if config.cross_fit:
            cross_fit(side, data, config, folder, scores[side])
    facts = {name: getattr(data, name) for name in ClipTable.__dataclass_fields__}
    return ScoredClips(**facts, quality=data.quality, scores=scores, there=presence(data))


def fused_runs(config: Any, run: Path) -> Mapping[str, Path]:
    """Return the run folder of each modality: the one that was given, or the one in `run`."""
    given = {side: getattr(config, f"{side}_run") for side in METHODS}
    return {side: Path(folder) if folder else run / side for side, folder in given.items()}


def presence(data: ClipSource) -> dict[str, NDArray[np.bool_]]:
    """Return which clips have audio and which have video, [N] each."""
    clips = read_table(data.manifest, "clips", ["clip_key", *PRESENCE.values()])
    place = dict(zip(clips["clip_key"].to_pylist(), range(len(clips)), strict=True))
    order = np.array([place[key] for key in data.keys], np.int64)
    return {
        side: np.asarray(clips[column].fill_null(False).to_numpy(), np.bool_)[order]
        for side, column in PRESENCE.items()
    }


def train_single(side: str, data: ClipSource, config: Any, folder: Path) -> None:
    """Train the net of one modality on the store's clips and splits; go on where it was stopped."""
    method = METHODS[side]
    changes = {"seed": config.seed, "classes": config.classes, "device": config.device}
    if config.single_epochs:
        changes["epochs"] = config.single_epochs
        changes |= {"stages": 1} if side == "audio" else {}
    logger.info("training %s into %s", method.card.name, folder)
    own: TaggingConfig = method.config.from_json(changes)
    opened = open_data(data.manifest.root, method.features(own), None, own)
    clips = replace(opened, splits=data.splits)
    method.check(own, clips)
    session = Session(
        method=method,
        experiment=method.card.experiments[0],
        config=method.adapt(own, clips),
        features=data.manifest.root,
        folder=folder,
        resume=(folder / runs.RESUME).is_file(),
    )
    with runs.held(folder):
        train(session, clips)
    parallel.wait()


def read_scores(folder: Path, data: ClipSource) -> ScoreTable:
    """Return the scores of a run, by number of the clip.

    `UsageError` when the run is none of a model that tags clips, when it has scored other clips
    (both subset ids are named), or knows other classes.
    """
    path = folder / runs.PREDICTIONS
    if not path.is_file():
        raise UsageError(
            f"{folder} has no {path.name}, so no finished run; train fayek_audio or fayek_visual "
            "into it first"
        )
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        refuse_others(file, folder, data)
        return aligned(file, data, folder)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path} is damaged ({error}); train that run again") from None


def refuse_others(file: pq.ParquetFile, folder: Path, data: ClipSource) -> None:
    """Raise `UsageError` for scores of parsing, of other clips, or of other classes."""
    if "scores" not in file.schema_arrow.names:
        raise UsageError(
            f"{folder} is the run of a parsing model; fusion takes runs that tag clips"
        )
    meta = file.schema_arrow.metadata
    subset = meta.get(b"subset_id", b"unknown").decode()
    if subset != data.manifest.subset_id:
        raise UsageError(
            f"{folder} has scores of subset {subset} and {data.manifest.root} holds subset "
            f"{data.manifest.subset_id}; train it on this store, or give the store that it saw"
        )
    if json.loads(meta[b"classes"]) != list(data.vocabulary.names):
        raise UsageError(f"{folder} knows other classes than {data.manifest.root}; train it anew")


def aligned(file: pq.ParquetFile, data: ClipSource, folder: Path) -> ScoreTable:
    """Return column `scores` by number of the clip; `UsageError` for a split without scores."""
    row_of = dict(zip(data.keys, range(len(data.keys)), strict=True))
    width = len(data.vocabulary)
    table = ScoreTable(len(data.keys), width)
    found = np.zeros(len(data.keys), np.bool_)
    for part in file.iter_batches(AT_ONCE, columns=["clip_key", "scores"], use_threads=False):
        rows = np.array([row_of.get(key, -1) for key in part["clip_key"].to_pylist()], np.int64)
        flat = part["scores"].flatten().to_numpy(zero_copy_only=False)
        known = rows >= 0
        table.write(rows[known], flat.reshape(-1, width).astype(np.float32)[known])
        found[rows[known]] = True
    lacking = np.flatnonzero(~found & (data.splits != ""))
    if len(lacking):
        row = int(lacking[0])
        raise UsageError(
            f"{folder} has no scores of clip {data.keys[row]} ({data.splits[row]}); train it anew"
        )
    return table


def cross_fit(side: str, data: ClipSource, config: Any, folder: Path, scores: ScoreTable) -> None:
    """Replace the scores of training clips by those of models that were trained without them.

    The training clips are dealt into parts, and each part is scored by a model of its own that
    learned from the others. Its run folder is `part-<n>` in that of the full model.
    """
    train_rows = data.rows("train")
    only = replace(data, labels=_zero_outside(data.labels, train_rows))
    for name, part in folds(replace(only, splits=_anonymous(data)), config.cross_fit, config.seed):
        inner = folder / f"part-{name}"
        clips = replace(part, labels=data.labels)
        if not (inner / runs.RESULTS).is_file():
            train_single(side, clips, config, inner)
        own = read_scores(inner, clips)
        rows = np.flatnonzero(part.splits == "test")
        for first in range(0, len(rows), AT_ONCE):
            some = rows[first : first + AT_ONCE]
            scores.write(some, own.read(some))


def _zero_outside(labels: Tensor, rows: Tensor) -> Tensor:
    kept = torch.zeros_like(labels)
    kept[rows] = labels[rows]
    return kept


def _anonymous(data: ClipSource) -> NDArray[np.str_]:
    """Return no split for any clip, so that the parts are dealt at random."""
    return np.full(len(data.keys), "", dtype="<U8")
