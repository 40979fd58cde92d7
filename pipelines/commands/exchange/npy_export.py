"""`beam export --to npy`: a store as the LLP authors publish features, for their programs.

    OUT/AVVP_train.csv, AVVP_val_pd.csv, AVVP_test_pd.csv       clips and their weak labels
    OUT/AVVP_eval_audio.csv, AVVP_eval_visual.csv               events in seconds
    OUT/feats/vggish, feats/res152, feats/r2plus1d_18           one .npy per clip

Their loaders find a clip's files by the first 11 characters of its name. LLP's names are kept;
where a data set's names do not tell clips apart by them, each begins with 11 characters of a hash.
"""

import base64
import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np

from pipelines.commands.exchange.new_folder import new_folder
from pipelines.commands.exchange.stored_clips import ClipRows, read_clips, read_whole
from pipelines.commands.npy_files import FOLDERS, FRAMES_PER_SECOND, SECONDS, SHAPES, Array
from schemas import (
    SNIPPETS,
    JobError,
    Recipe,
    StoreManifest,
    UsageError,
    tensor_shape,
    tensor_values,
)
from schemas.manifests.llp import FILES
from schemas.messages import printable, quoted

_STEM = 11
_LLP_NAME = re.compile(r"[\w-]{11}(_[\d.]+){2}", re.ASCII)
_EVENT_FILES = {"audio": "AVVP_eval_audio.csv", "visual": "AVVP_eval_visual.csv"}
_WEAK, _DENSE = "filename\tevent_labels", "filename\tonset\toffset\tevent_labels"


@dataclass
class _Written:
    """What has been written so far."""

    lists: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Lines of each list of clips by its file name."""
    clips: int = 0
    unlabelled: int = 0
    """Clips that are left out, since the authors' loader needs a label."""


def export_npy(manifest: StoreManifest, out: Path) -> list[str]:
    """Write the folder and return lines that say what it holds.

    `UsageError` for a store that the layout cannot hold: features missing, clips of more than ten
    seconds, a comma in the name of a class.
    """
    _check(manifest)
    name_of = _names(manifest)
    written = _Written(lists=defaultdict(list, {name: [] for name in FILES.values()}))
    columns = {SNIPPETS: ("clip_key", "snippet_index", *FOLDERS)}
    with new_folder(out) as folder:
        for sub in FOLDERS.values():
            Path(folder, "feats", sub).mkdir(parents=True)
        for clip in read_clips(manifest, columns):
            _write_clip(folder, clip, name_of, written)
        for name, lines in written.lists.items():
            _write_list(folder / name, _WEAK, lines)
        for modality, name in _EVENT_FILES.items():
            _write_list(folder / name, _DENSE, _event_lines(manifest, modality, name_of))
    return _summary(manifest, out, written)


def _check(manifest: StoreManifest) -> None:
    recipe = Recipe.from_json(manifest.data["recipe"])
    missing = [name for name in FOLDERS if name not in recipe.extractors]
    if missing:
        raise UsageError(
            f"{manifest.root} has no features {', '.join(missing)}, and the authors' layout needs "
            f"{', '.join(FOLDERS)}; run beam run features with --extractors {','.join(FOLDERS)}"
        )
    for label in manifest.vocabulary:
        if re.search(r'[,\t\n\r"]', label):
            raise UsageError(
                f"class {quoted(label)} cannot stand in the authors' lists, which part classes by "
                "commas; give the data set names without commas, quotes and tabs"
            )


def _names(manifest: StoreManifest) -> Callable[[str], str]:
    """Return what gives a clip's name in the lists, whose first 11 characters name its files."""
    keys = [str(key) for clip in read_clips(manifest, {}) for key in clip["clips"]["clip_key"]]
    stems = {key[:_STEM].lower() for key in keys}  # as a file system may see them
    if len(stems) == len(keys) and all(map(_LLP_NAME.fullmatch, keys)):
        return lambda key: key
    return hashed_name


def hashed_name(key: str) -> str:
    """Return 11 characters that only this key has, and the key behind them.

    >>> hashed_name("street/dog 1")
    '4IO46X6GJZ2_street%2Fdog%201'
    """
    digest = base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()
    return f"{digest[:_STEM]}_{quote(key, safe='')}"


def _write_clip(
    folder: Path, clip: ClipRows, name_of: Callable[[str], str], written: _Written
) -> None:
    (row,) = clip["clips"].select(["clip_key", "split", "labels"]).to_pylist()
    if not row["labels"]:
        written.unlabelled += 1
        return
    name = name_of(row["clip_key"])
    for feature, values in _arrays(row["clip_key"], clip).items():
        np.save(folder / "feats" / FOLDERS[feature] / f"{name[:_STEM]}.npy", values)
    file = FILES.get(row["split"], f"AVVP_{quote(row['split'], safe='') or 'all'}.csv")
    written.lists[file].append(f"{name}\t{','.join(row['labels'])}")
    written.clips += 1


def _arrays(key: str, clip: ClipRows) -> dict[str, Array]:
    """Return the three arrays of a clip, zero in seconds without a value."""
    rows = clip.get(SNIPPETS)
    if rows is None:
        raise JobError(f"clip {printable(key)} has no rows in {SNIPPETS}; run beam validate")
    seconds = np.asarray(rows["snippet_index"])
    if seconds.max() >= SECONDS:
        raise UsageError(
            f"clip {printable(key)} lasts {seconds.max() + 1} seconds, the authors' layout holds "
            f"{SECONDS} of each clip; it cannot hold this store"
        )
    arrays = {}
    for feature, file_shape in SHAPES.items():
        shape = tensor_shape(rows.schema.field(feature)) or ()
        values, _ = tensor_values(rows[feature].combine_chunks(), shape)
        by_second = np.zeros((SECONDS, *shape), np.float32)
        by_second[seconds] = values
        arrays[feature] = _to_frames(feature, by_second, file_shape)
    return arrays


def _to_frames(feature: str, by_second: Array, file_shape: tuple[int, ...]) -> Array:
    """Return a feature [10, ...] in the shape of its file; the mean of a second stands 8 times."""
    if math.prod(file_shape) == by_second.size:
        return by_second.reshape(file_shape)
    repeated = by_second.repeat(FRAMES_PER_SECOND, axis=0)
    if repeated.shape != file_shape:
        raise UsageError(
            f"{feature} of this store is {list(by_second.shape)} for ten seconds, the authors' "
            f"layout holds {list(file_shape)}; run beam run features with --recipe llp-eccv20"
        )
    return repeated


def _event_lines(
    manifest: StoreManifest, modality: str, name_of: Callable[[str], str]
) -> Iterator[str]:
    events = read_whole(manifest, "events")
    for event in [] if events is None else events.to_pylist():
        if event["modality"] == modality:
            onset, offset = (f"{event[edge]:.6g}" for edge in ("onset_s", "offset_s"))
            yield f"{name_of(event['clip_key'])}\t{onset}\t{offset}\t{event['label']}"


def _write_list(path: Path, head: str, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in (head, *lines))


def _summary(manifest: StoreManifest, out: Path, written: _Written) -> list[str]:
    failed = manifest.data["counts"]["clips_failed"]
    lines = [
        f"{out}: .npy of {written.clips:,} clips, vggish [10,128], res152 [80,2048], r2plus1d_18 "
        f"[10,512]; {failed:,} failed clips of the store are in no list"
    ]
    if written.unlabelled:
        lines.append(
            f"Left out: {written.unlabelled:,} clips without a label, which their loader refuses"
        )
    if manifest.data["recipe"]["resnet152_frames"] == "mean":
        lines.append(
            "The store holds the mean of a second's ResNet-152 vectors, which stands 8 times: "
            "exact for HAN, whose first layer is linear before it averages the 8; for the frames "
            "themselves run beam run features with --resnet152-frames keep"
        )
    return lines
