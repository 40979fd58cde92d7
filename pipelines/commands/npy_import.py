"""The work of `beam import-npy`: the three arrays of a clip become its rows, or it is a failure."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipelines.commands.npy_files import (
    FRAMES_PER_SECOND,
    SECONDS,
    SHAPES,
    Array,
    read_features,
    stem_of,
)
from pipelines.jobs.features.finish import finish
from pipelines.jobs.features.job import FeaturesJob
from pipelines.jobs.features.rows import Valid, join_tables, snippet_rows
from pipelines.jobs.features.worker import Runtime
from pipelines.store import files
from pipelines.store.locking import locked
from pipelines.store.progress import Progress, ProgressFile
from pipelines.store.receipts import StoreState
from pipelines.store.units import ClipTask, Unit
from schemas import (
    SNIPPETS,
    Clip,
    Failure,
    KnownError,
    Reason,
    Recipe,
    TableName,
    table_schema,
)
from schemas.machine.clock import utc_stamp
from schemas.manifests import read_manifest

_CLIPS_PER_PART = 256


def import_llp(
    annotations: str,
    folders: Mapping[str, Path],
    out: str,
    resnet152_frames: Literal["mean", "keep"],
) -> dict[str, Any]:
    """Fill the store `out` with the clips of LLP and return the counts of its manifest.

    `folders` are those of each feature.
    """
    recipe = Recipe(
        name="llp-eccv20",
        extractors=tuple(SHAPES),
        resnet152_frames=resnet152_frames,
        weights="imported",
    )
    job = FeaturesJob(
        dataset="llp",
        annotations=annotations,
        media="",
        out=files.absolute(out),
        recipe=recipe,
        runtime=Runtime(),
        command="beam import-npy",
    )
    clips = list(read_manifest("llp", annotations))
    with locked(job.out):
        job.store().open("llp", recipe)
        done = job.store().state().done
        with Progress(job.out, "import", lambda: sum(clip.key not in done for clip in clips)):
            _import(job, clips, folders)
        counts: dict[str, Any] = finish(job)["counts"]
    return counts


def _import(job: FeaturesJob, clips: list[Clip], folders: Mapping[str, Path]) -> None:
    store = job.store()
    state = store.state()
    shared = {name for name, n in Counter(clip.key[:11] for clip in clips).items() if n > 1}
    waiting = [clip for clip in clips if clip.key not in state.done]
    beside = ProgressFile(job.out)
    for start in range(0, len(waiting), _CLIPS_PER_PART):
        part = waiting[start : start + _CLIPS_PER_PART]
        rows: list[dict[TableName, pa.Table]] = []
        failed: list[Failure] = []
        for clip in part:
            try:
                rows.append(_rows(clip, _load(clip, folders, shared), job.recipe))
            except KnownError as error:
                at = utc_stamp()
                tried = _attempt(state, clip)
                failed.append(Failure(clip.key, "import", error.reason, error.detail, tried, at))
        tables = join_tables(rows)
        unit = Unit.of(tuple(ClipTask(clip, None, _attempt(state, clip)) for clip in part))
        done = tables["clips"]["clip_key"].to_pylist() if tables else []
        store.commit(unit.name, tables, done, failed, {}, {})
        beside.count(len(part))


def _attempt(state: StoreState, clip: Clip) -> int:
    failure = state.failed.get(clip.key)
    return failure.attempts + 1 if failure else 1


def _load(clip: Clip, folders: Mapping[str, Path], shared: set[str]) -> dict[str, Array]:
    """Return the three arrays of one clip; `KnownError` when one is missing or unfit."""
    stem = stem_of(clip.key)
    if stem in shared:
        raise KnownError(
            Reason.FORMAT, f"{stem}.npy could be any of several clips: their first 11 letters agree"
        )
    return {
        name: read_features(folder / f"{stem}.npy", SHAPES[name])
        for name, folder in folders.items()
    }


def _rows(clip: Clip, arrays: dict[str, Array], recipe: Recipe) -> dict[TableName, pa.Table]:
    frames = arrays["resnet152"].reshape(SECONDS, FRAMES_PER_SECOND, -1)
    mean = recipe.resnet152_frames == "mean"
    features = {**arrays, "resnet152": frames.mean(axis=1) if mean else frames}
    clip_row = {
        "clip_key": clip.key, "video_id": clip.video_id, "start_s": clip.start_s,
        "end_s": clip.end_s, "split": clip.split, "labels": list(clip.labels),
        "n_snippets": SECONDS, "has_audio": True, "has_video": True,
        "duration_s": clip.end_s - clip.start_s,
    }  # fmt: skip
    present = np.ones(SECONDS, dtype=np.bool_)
    valid: Valid = {"audio": present, "visual": present}
    return {
        "clips": pa.Table.from_pylist([clip_row], schema=table_schema("clips")),
        SNIPPETS: snippet_rows(clip.key, features, valid, recipe),
    }
