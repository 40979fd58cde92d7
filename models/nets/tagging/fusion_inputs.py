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
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract.config import TaggingConfig
from models.data.clips import ClipData, in_memory
from models.data.parquet import read_table
from models.data.source import ClipSource
from models.data.splits import folds
from models.data.streaming import open_data
from models.nets.tagging import fayek_audio, fayek_visual
from models.runtime import distributed as parallel
from models.training import run_folder as runs
from models.training.method import NetMethod
from models.training.session import Session, train
from schemas import StoreManifest, UsageError, read_parquet
from schemas.features import PRESENCE

METHODS: dict[str, NetMethod[Any]] = {
    "audio": fayek_audio.METHOD,
    "visual": fayek_visual.METHOD,
}
"""What is trained for each modality when no run is given."""

logger = logging.getLogger(__name__)


def derive(data: ClipSource, config: Any, run: Path) -> ClipData:
    """Return the clips with features `audio` and `visual` [N, 1, C], the scores of two runs.

    `config` is that of `models.nets.tagging.fusion`, `run` its run folder. What is trained on the
    way stays there and is used again.
    """
    features, present = {}, {}
    there = presence(data.manifest)
    for side, folder in fused_runs(config, run).items():
        given = getattr(config, f"{side}_run")
        if not given and not (folder / runs.RESULTS).is_file():
            train_single(side, data, config, folder)
        scores = read_scores(folder, data)
        if config.cross_fit:
            scores = cross_fitted(side, data, config, folder, scores)
        features[side] = torch.from_numpy(scores)[:, None]
        present[side] = torch.tensor([key in there[side] for key in data.keys])[:, None]
    return replace(in_memory(data), features=features, present=present, dense_splits=frozenset())


def fused_runs(config: Any, run: Path) -> Mapping[str, Path]:
    """Return the run folder of each modality: the one that was given, or the one in `run`."""
    given = {side: getattr(config, f"{side}_run") for side in METHODS}
    return {side: Path(folder) if folder else run / side for side, folder in given.items()}


def presence(manifest: StoreManifest) -> dict[str, set[str]]:
    """Return the keys of the clips that have audio, and of those that have video."""
    clips = read_table(manifest, "clips", ["clip_key", *PRESENCE.values()])
    keys = clips["clip_key"].to_pylist()
    return {
        side: {key for key, has in zip(keys, clips[column].to_pylist(), strict=True) if has}
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


def read_scores(folder: Path, data: ClipSource) -> NDArray[np.float32]:
    """Return the scores [N, C] of a run, in the order of the clips.

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
        table = read_parquet(path)
    except OSError as error:
        raise UsageError(f"{path} is damaged ({error}); train that run again") from None
    if "scores" not in table.column_names:
        raise UsageError(
            f"{folder} is the run of a parsing model; fusion takes runs that tag clips"
        )
    meta = table.schema.metadata
    subset = meta.get(b"subset_id", b"unknown").decode()
    if subset != data.manifest.subset_id:
        raise UsageError(
            f"{folder} has scores of subset {subset} and {data.manifest.root} holds subset "
            f"{data.manifest.subset_id}; train it on this store, or give the store that it saw"
        )
    if json.loads(meta[b"classes"]) != list(data.vocabulary.names):
        raise UsageError(f"{folder} knows other classes than {data.manifest.root}; train it anew")
    return aligned(table, data, folder)


def aligned(table: Any, data: ClipSource, folder: Path) -> NDArray[np.float32]:
    """Return column `scores` as [N, C] in the order of the clips that have a split."""
    row_of = {key: row for row, key in enumerate(table["clip_key"].to_pylist())}
    width = len(data.vocabulary)
    flat = table["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    stored = flat.reshape(-1, width).astype(np.float32)
    scores = np.zeros((len(data.keys), width), np.float32)
    for row, (key, split) in enumerate(zip(data.keys, data.splits.tolist(), strict=True)):
        if key in row_of:
            scores[row] = stored[row_of[key]]
        elif split:
            raise UsageError(f"{folder} has no scores of clip {key} ({split}); train it anew")
    return scores


def cross_fitted(
    side: str, data: ClipSource, config: Any, folder: Path, scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return scores with those of training clips from models that were trained without them.

    The training clips are dealt into parts, and each part is scored by a model of its own that
    learned from the others. Its run folder is `part-<n>` in that of the full model.
    """
    train_rows = data.rows("train")
    only = replace(data, labels=_zero_outside(data.labels, train_rows))
    mixed = scores.copy()
    for name, part in folds(replace(only, splits=_anonymous(data)), config.cross_fit, config.seed):
        inner = folder / f"part-{name}"
        clips = replace(part, labels=data.labels)
        if not (inner / runs.RESULTS).is_file():
            train_single(side, clips, config, inner)
        own = read_scores(inner, clips)
        rows = np.flatnonzero(part.splits == "test")
        mixed[rows] = own[rows]
    return mixed


def _zero_outside(labels: Tensor, rows: Tensor) -> Tensor:
    kept = torch.zeros_like(labels)
    kept[rows] = labels[rows]
    return kept


def _anonymous(data: ClipSource) -> NDArray[np.str_]:
    """Return no split for any clip, so that the parts are dealt at random."""
    return np.full(len(data.keys), "", dtype="<U8")
