"""Scores of runs on clips that lack a modality or seconds, and on stores of degraded media.

Letters: N clips, C classes, T seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.applications.clip_tags import tag_clips
from models.applications.new_media import NewFeatures, Run
from models.data.bags import BAGS
from models.data.clips import ClipData
from models.data.pixels import PixelClips
from models.metrics import micro_scores, tagging_scores
from models.tasks.tagging import Tagging
from models.training import run_folder as runs
from schemas import UsageError, read_store_manifest
from schemas.features import feature_of
from schemas.recipe import read_degradation

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of clips that lack a modality, and of seconds that lack their frames."""
KINDS = {
    "no audio": "share of clips without audio",
    "no video": "share of clips without video",
    "dropped": "share of seconds without video",
    "noise": "noise: signal to noise, dB",
    "blur": "blur: deviation, % of the shorter side",
    "drop": "share of seconds without frames",
}
"""Every kind of degradation and the label of its axis."""
SCORES = ("map", "mauc", "micro_f1")

Clips = ClipData | PixelClips


@dataclass(frozen=True, kw_only=True)
class Point:
    """Scores of one run at one level of one degradation."""

    run: str
    """Name of the run."""
    kind: str
    """One of `KINDS`."""
    level: float | None
    """Level; None for a clean store, which stands for no noise."""
    scores: dict[str, float | None]
    """`SCORES`; None where a score is not defined."""


def names_of(opened: Sequence[Run]) -> list[str]:
    """Return what to call each run: its net, with its folder where two have the same."""
    cards = [run.card.name for run in opened]
    return [
        name if cards.count(name) == 1 else f"{name} ({run.folder.name})"
        for name, run in zip(cards, opened, strict=True)
    ]


def open_split(run: Run, store: Path, split: str) -> Clips:
    """Open a split of a store for a run; `UsageError` when the run cannot look at it."""
    if not isinstance(run.card.task, Tagging) or run.thresholds is None:
        raise UsageError(f"{run.folder} is the run of a parsing model; give runs that tag clips")
    manifest = read_store_manifest(store)
    theirs = manifest.data["recipe"]
    other = runs.other_setting(run.recipe.to_json(), theirs, run.needs)
    if other is not None:
        raise UsageError(f"{store} was made with another {other} than {run.folder} was trained on")
    data = NewFeatures(store=store, media={}, failures=()).open_with_frames(run)
    rows = data.rows(split).numpy()
    return data.cut(rows, data.seconds)


def points(
    name: str, run: Run, store: Path, degraded: Sequence[Path], split: str, seed: int = 0
) -> Iterator[Point]:
    """Yield the scores of a run at every level of every degradation that it can meet.

    A modality that it does not read is left alone. `UsageError` for a store of other clips than the
    clean one.
    """
    clean = open_split(run, store, split)
    modalities = {held.modality for held in map(feature_of, run.needs) if held is not None}
    for modality, kind in (("audio", "no audio"), ("visual", "no video")):
        for share in SHARES if modality in modalities else ():
            lacking = without_modality(clean, modality, share, seed)
            yield Point(run=name, kind=kind, level=share, scores=score(run, lacking))
    if "visual" in modalities and isinstance(clean, ClipData):
        for share in SHARES:
            fewer = without_seconds(clean, share, seed)
            yield Point(run=name, kind="dropped", level=share, scores=score(run, fewer))
    if degraded:
        whole = score(run, clean)
    kinds = set()
    for folder in degraded:
        kind, level = degradation_of(folder)
        data = alike(open_split(run, folder, split), clean.keys, folder)
        kinds.add(kind)
        yield Point(run=name, kind=kind, level=level, scores=score(run, data))
    for kind in sorted(kinds):
        yield Point(run=name, kind=kind, level=None if kind == "noise" else 0.0, scores=whole)


def alike(data: Clips, keys: Sequence[str], folder: Path) -> Clips:
    """Return the clips `keys` of a degraded split, which may have more; `UsageError` for fewer."""
    row_of = {key: row for row, key in enumerate(data.keys)}
    lacking = [key for key in keys if key not in row_of]
    if lacking:
        raise UsageError(
            f"{folder} holds other clips than the clean store: it lacks {len(lacking)} of "
            f"{len(keys)}, such as {lacking[0]}; make both from the same media"
        )
    return data.cut(np.array([row_of[key] for key in keys], np.int64), data.seconds)


def degradation_of(folder: Path) -> tuple[str, float]:
    """Return kind and level of a store of degraded media; `UsageError` for a clean one."""
    manifest = read_store_manifest(folder)
    what = str(manifest.data["recipe"].get("degrade", ""))
    if not what:
        raise UsageError(
            f"{folder} holds features of media as they are; make some with beam run features "
            "--degrade noise:10, blur:2 or drop:0.5"
        )
    return read_degradation(what)


def score(run: Run, data: Clips) -> dict[str, float | None]:
    """Return the scores of a run on clips, at the thresholds of its training."""
    assert run.thresholds is not None
    tags = tag_clips(run, data)
    labels = data.labels.cpu().numpy() > 0.5
    predicted = tags.scores >= np.asarray(run.thresholds.values)
    found = tagging_scores(tags.scores, labels) | micro_scores(predicted, labels)
    return {name: found[name] if np.isfinite(found[name]) else None for name in SCORES}


def without_modality(data: Clips, modality: str, share: float, seed: int) -> Clips:
    """Return clips of which a share, drawn by the seed, lacks a modality."""
    order = np.random.default_rng(seed).permutation(len(data.keys))
    gone = np.zeros(len(order), bool)
    gone[order[: round(share * len(order))]] = True
    if isinstance(data, PixelClips):
        groups = data.reader.groups
        if modality == "visual":
            kept: Any = tuple(() if lost else own for lost, own in zip(gone, groups, strict=True))
            data = replace(data, reader=replace(data.reader, groups=kept))
        others = data.others
        hidden = None if others is None else without(others, modality, gone[:, None])
        return replace(data, others=hidden)
    return without(data, modality, gone[:, None])


def without_seconds(data: ClipData, share: float, seed: int) -> ClipData:
    """Return clips of which a share of the seconds, drawn by the seed, lacks its video."""
    drawn = np.random.default_rng(seed).random((len(data.keys), data.seconds)).argsort(axis=1)
    return without(data, "visual", drawn < round(share * data.seconds))


def without(data: Any, modality: str, gone: Any) -> Any:
    """Return clips without the features of a modality where `gone`, bool [N, 1] or [N, T].

    Instances of a bag lie on no grid of seconds: the share of a clip's seconds that are gone goes
    of them too, from the last one on.
    """
    features, present = dict(data.features), dict(data.present)
    for name in features:
        held = feature_of(name)
        if held is None or held.modality != modality:
            continue
        there = present[name]
        if name in BAGS and gone.shape[1] > 1:
            share = torch.from_numpy(gone.mean(axis=1, keepdims=True))
            place = torch.arange(there.shape[1])[None] / max(1, there.shape[1])
            lost = place >= 1 - share
        else:
            lost = torch.from_numpy(np.broadcast_to(gone, there.shape).copy())
        present[name] = there & ~lost
        shape = (*there.shape, *[1] * (features[name].ndim - there.ndim))
        features[name] = features[name] * present[name].reshape(shape)
    return replace(data, features=features, present=present)
