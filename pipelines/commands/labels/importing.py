"""The work of `beam import-labels`: the arrays of every clip become rows, all of them or none."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.commands.labels.clips import LabelledClip, label_rows, open_store, read_clips
from pipelines.commands.labels.import_command import Options
from pipelines.commands.npy_files import read_features, stem_of
from pipelines.store.locking import locked
from schemas import KnownError, UsageError
from schemas.events import Modality
from schemas.messages import listed, printable, quoted
from schemas.settings import screen


def import_labels(options: Options) -> int:
    """Fill table `pseudo_labels` from the files; `UsageError` for one that does not fit."""
    folders = _find_folders(options)
    store, manifest = open_store(options.out)
    with locked(store.out):
        clips, names = read_clips(store, manifest), manifest["vocabulary"]
        stems = _find_files(store.out, folders, clips)
        rows = [
            label_rows(clip, modality, names, _read(folder, stems[clip.key], clip, names))
            for clip in clips
            if clip.key in stems
            for modality, folder in folders.items()
        ]
        source = options.source or " and ".join(folder.name for folder in folders.values())
        store.replace_pseudo_labels(
            pa.concat_tables(rows), {"source": printable(source, 200), "weights": "imported"}
        )
    screen.results().print(
        f"{options.out}: pseudo labels of {len(stems):,} of {len(clips):,} clips, "
        f"{', '.join(folders)}; {_left_out(folders, stems)}",
        soft_wrap=True,
    )
    return 0


def _find_folders(options: Options) -> dict[Modality, Path]:
    """Return the folders that were given by modality; `UsageError` where one is none."""
    given: dict[Modality, str | None] = {"audio": options.audio, "visual": options.visual}
    folders = {modality: Path(name) for modality, name in given.items() if name is not None}
    if not folders:
        raise UsageError("say where the labels are: --audio FOLDER, --visual FOLDER, or both")
    for modality, folder in folders.items():
        if not folder.is_dir():
            raise UsageError(
                f"--{modality} {folder} is not a folder; give the folder of .npy files"
            )
    return folders


def _find_files(
    out: str, folders: Mapping[Modality, Path], clips: Sequence[LabelledClip]
) -> dict[str, str]:
    """Return the name without ending of each clip's files, for clips that have all of them.

    `UsageError` when no file is of a clip, or a file could be of any of several clips.
    """
    held = [{path.stem for path in folder.glob("*.npy")} for folder in folders.values()]
    there = set.intersection(*held)
    stems: dict[str, str] = {}
    owner: dict[str, str] = {}
    for clip in clips:
        short = _short_stem(clip.key)
        stem = next((name for name in (clip.key, short) if name in there), None)
        if stem is None:
            continue
        if stem in owner:
            raise UsageError(
                f"{stem}.npy could be of {owner[stem]} or of {clip.key}: their first 11 letters "
                "agree; name the files by the whole clip key"
            )
        owner[stem], stems[clip.key] = clip.key, stem
    if not stems:
        files = listed(sorted(there), most=3)
        raise UsageError(
            f"none of the {len(there):,} files in {listed(map(str, folders.values()))} ({files}) "
            f"is of a clip of {out} (first clip {clips[0].key if clips else 'none'}); give the "
            "labels of the store's own data set"
        )
    return stems


def _short_stem(key: str) -> str:
    try:
        return stem_of(key)
    except KnownError:
        return key


def _read(
    folder: Path, stem: str, clip: LabelledClip, names: Sequence[str]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the scores of a clip, [T, C]; `UsageError` for a file that does not fit."""
    path = folder / f"{stem}.npy"
    try:
        scores = read_features(path, (None, len(names)))
    except KnownError as error:
        raise UsageError(
            f"{error.detail}; the {len(names)} classes are those of the store, {names[0]} first, "
            "and nothing was changed"
        ) from None
    if len(scores) != clip.seconds:
        raise UsageError(
            f"{path} has {len(scores)} seconds, clip {quoted(clip.key)} has {clip.seconds}; give "
            "labels of the same clips"
        )
    if scores.min() < 0 or scores.max() > 1:
        worst = scores.min() if scores.min() < 0 else scores.max()
        raise UsageError(f"{path} holds {worst:g}, and labels are numbers from 0 to 1")
    return scores


def _left_out(folders: Mapping[Modality, Path], stems: Mapping[str, str]) -> str:
    """Say how many files are of clips that the store lacks."""
    used = set(stems.values())
    over = {path.stem for folder in folders.values() for path in folder.glob("*.npy")} - used
    if not over:
        return "every file is of a clip"
    return f"{len(over):,} names are of no clip of the store and left out, such as {min(over)}"
