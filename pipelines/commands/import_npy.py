"""`beam import-npy`: the LLP authors' published features as the same tables.

The authors publish three folders with one `.npy` per clip, named by the first 11 characters of the
clip's name: VGGish [10, 128], ResNet-152 [80, 2048], R(2+1)D-18 [10, 512]. No media is needed.
"""

import logging
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from rich.console import Console

from pipelines.commands.npy_files import (
    FOLDERS,
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
    UsageError,
    table_schema,
)
from schemas.machine.clock import utc_stamp
from schemas.manifests import read_manifest

_log = logging.getLogger(__name__)

_CLIPS_PER_PART = 256


@dataclass(frozen=True, kw_only=True)
class Options:
    """Turn the LLP authors' published features into the tables that the trainer reads.

    Example: beam import-npy --annotations LLP/data --npy LLP/feats --out out/llp
    """

    annotations: str
    """Folder with the LLP annotation files."""
    npy: str = "."
    """Folder that holds the authors' folders vggish, res152 and r2plus1d_18."""
    vggish: str | None = None
    """Folder of VGGish files, [10, 128] each, when it has another name."""
    resnet152: str | None = None
    """Folder of ResNet-152 files, [80, 2048] each, when it has another name."""
    r2plus1d: str | None = None
    """Folder of R(2+1)D-18 files, [10, 512] each, when it has another name."""
    out: str = "out/llp"
    """Folder for the tables."""
    resnet152_frames: Literal["mean", "keep"] = "mean"
    """Store the mean of a second's 8 ResNet-152 vectors, or each of them."""


def run(options: Options, rest: list[str]) -> int:
    """Import every clip of LLP; a missing or misshapen file is that clip's failure."""
    folders = find_folders(options)
    recipe = Recipe(
        name="llp-eccv20",
        extractors=tuple(SHAPES),
        resnet152_frames=options.resnet152_frames,
        weights="imported",
    )
    job = FeaturesJob(
        dataset="llp",
        annotations=options.annotations,
        media="",
        out=files.absolute(options.out),
        recipe=recipe,
        runtime=Runtime(),
        command="beam import-npy",
    )
    clips = list(read_manifest("llp", options.annotations))
    with locked(job.out):
        job.store().open("llp", recipe)
        _import(job, clips, folders)
        counts = finish(job)["counts"]
    console = Console()
    console.print(
        f"{options.out}: {counts['clips_done']:,} of {counts['clips_in']:,} clips imported, "
        f"{counts['clips_failed']:,} failed {counts['failed_by_reason']}",
        highlight=False,
        markup=False,
    )
    console.print(
        f"Next: python models/train.py han --features {shlex.quote(options.out)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return 0 if counts["clips_done"] else 1


def find_folders(options: Options) -> dict[str, Path]:
    """Return the folder of each feature; `UsageError` for one that is not there."""
    folders = {
        name: Path(getattr(options, name) or Path(options.npy, sub))
        for name, sub in FOLDERS.items()
    }
    for name, folder in folders.items():
        if not folder.is_dir():
            raise UsageError(
                f"{folder} is not a folder; give the folder of {name} files with --{name}, or the "
                "one above the three with --npy"
            )
    return folders


def _import(job: FeaturesJob, clips: list[Clip], folders: dict[str, Path]) -> None:
    store = job.store()
    state = store.state()
    shared = {name for name, n in Counter(clip.key[:11] for clip in clips).items() if n > 1}
    waiting = [clip for clip in clips if clip.key not in state.done]
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
        _log.info("%s: %d clips, %d failed", part[0].key, len(rows), len(failed))


def _attempt(state: StoreState, clip: Clip) -> int:
    failure = state.failed.get(clip.key)
    return failure.attempts + 1 if failure else 1


def _load(clip: Clip, folders: dict[str, Path], shared: set[str]) -> dict[str, Array]:
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
