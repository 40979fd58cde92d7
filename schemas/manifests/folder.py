"""Media files of your own: every file in a folder, or in the folders in it, is a clip.

A clip's key is the file's path in the folder without its ending (`a`, `dog/a`), its end is open.
Hidden files and folders are passed over. Labels come from the names of folders, as Hugging Face's
`audiofolder` and ESC-10 have it:

    dog/a.wav           label `dog`
    train/dog/a.wav     split `train` (also val, test and their other names), label `dog`
    train/a.wav         split `train`, no label
    a.wav, x/y/z/a.wav  no label

or, where there is one, from `labels.csv` alone (`file,labels,split`; the last two columns may be
absent; labels are separated by `|`). It may lie beside the media or alone in an annotation folder:

- a row names a file by its path in the folder, or by its name where only one folder has it;
- a file without a row is a clip without labels and split;
- a row whose file is not there is a clip all the same, so that the job can report it missing;
- the labels of two rows of one file are merged, with a warning;
- two files that differ in their endings alone are an error: their clips would share a key.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.failure import UsageError
from schemas.labels import Vocabulary
from schemas.manifests.checks import require_split, warn_of_repeats
from schemas.manifests.lines import bad_line, comma_fields, read_lines
from schemas.media_names import MEDIA_SUFFIXES, clip_name, files_under, is_media
from schemas.messages import listed, printable, quoted

HOME = "yours"
"""Where the files come from, for error messages."""

log = logging.getLogger(__name__)

LABEL_FILE = "labels.csv"
COLUMNS = ("file", "labels", "split")

SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""Names of folders, in any case, that stand for a split."""


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the clips sorted by key; `repair` changes nothing."""
    clips = all_clips(folder)
    if not clips:
        raise UsageError(
            f"{folder} holds no media file and no {LABEL_FILE} with rows; media end in "
            f"{' '.join(sorted(MEDIA_SUFFIXES))}"
        )
    require_split("folder", split, sorted({clip.split for clip in clips} - {""}))
    return (clip for clip in clips if split in (None, clip.split))


def all_clips(folder: Path) -> list[Clip]:
    """Return every clip of the folder, sorted by key."""
    names = media_names(folder)
    if (folder / LABEL_FILE).is_file():
        rows = label_rows(folder / LABEL_FILE)
        refuse_ambiguous(folder, rows, names)
        clips = [*rows.values(), *(bare_clip(name) for name in unlabelled(names, rows))]
    else:
        clips = [clip_of_path(name) for name in names]
        deep = [name for name in names if name.count("/") > 2]
        if deep:
            log.warning(
                "folder: %d file(s) lie deeper than <split>/<class>/<file> and have no label "
                "(%s); name them in %s",
                len(deep), listed(deep, most=3), LABEL_FILE,
            )  # fmt: skip
    return sorted(clips, key=lambda clip: clip.key)


def media_names(folder: Path) -> list[str]:
    """Return the names of the media files, sorted; `UsageError` when two files share one."""
    if not folder.is_dir():
        raise UsageError(f"media folder {folder} does not exist or is no folder")
    names: dict[str, str] = {}
    for path in files_under(folder):
        if not is_media(path):
            continue  # a link that leads nowhere or a FIFO is a clip, which the job reports
        name = clip_name(path)
        other = names.setdefault(name, path)
        if other != path:
            raise UsageError(
                f"{folder} holds {printable(other)} and {printable(path)}, whose clips would "
                f"both be called {name!r}; rename or move one of them"
            )
    return sorted(names)


def bare_clip(name: str) -> Clip:
    """Return a file as a clip without labels and split."""
    return Clip(name, 0.0, math.inf, name=name)


def clip_of_path(name: str) -> Clip:
    """Return a file as a clip with the labels and split that its folders name.

    >>> clip_of_path("valid/dog/a")
    Clip(video_id='valid/dog/a', start_s=0.0, end_s=inf, split='val', labels=('dog',), name='valid/dog/a')
    """  # noqa: E501
    *parents, _ = name.split("/")
    split = SPLIT_FOLDERS.get(parents[0].lower(), "") if parents else ""
    classes = parents[1:] if split else parents
    labels = tuple(classes[-1:]) if len(parents) <= 2 else ()
    return replace(bare_clip(name), split=split, labels=labels)


def unlabelled(names: Iterable[str], rows: Iterable[str]) -> Iterator[str]:
    """Yield the names of files that no row names, by path or by name alone."""
    keys = set(rows)
    return (name for name in names if name not in keys and name.rsplit("/", 1)[-1] not in keys)


def refuse_ambiguous(folder: Path, rows: Iterable[str], names: Iterable[str]) -> None:
    """Raise `UsageError` for a row that names a file by a name which several folders have."""
    by_path = set(names)
    count = Counter(name.rsplit("/", 1)[-1] for name in by_path)
    for key in rows:
        if key not in by_path and count[key] > 1:
            raise UsageError(
                f"{folder / LABEL_FILE} names {quoted(key)}, which {count[key]} folders have; give "
                "its path in the folder"
            )


def label_rows(path: Path) -> dict[str, Clip]:
    """Return the rows of `labels.csv` as clips by key; labels of repeats join the first row."""
    lines = read_lines(path)
    number, first = next(lines, (1, ""))
    columns = tuple(name.strip() for name in first.split(","))
    if columns not in (COLUMNS, COLUMNS[:2], COLUMNS[:1]):
        raise bad_line(path, number, first, f"the header {','.join(COLUMNS)!r}")
    rows: dict[str, Clip] = {}
    repeated: dict[str, dict[str, None]] = {}
    for number, line in lines:
        try:
            row = clip_of_line(line, len(columns))
        except ValueError as error:
            expected = "a file's name, its labels separated by | and its split"
            raise bad_line(path, number, line, expected, str(error)) from None
        if rows.setdefault(row.key, row) is not row:
            repeated.setdefault(row.key, {}).update(dict.fromkeys(row.labels))
    return joined(rows, repeated)


def joined(rows: dict[str, Clip], repeated: Mapping[str, Iterable[str]]) -> dict[str, Clip]:
    """Add the labels of repeated rows to the first of each."""
    warn_of_repeats("folder", list(repeated))
    for key, labels in repeated.items():
        merged = tuple(dict.fromkeys([*rows[key].labels, *labels]))
        rows[key] = replace(rows[key], labels=merged)
    return rows


@lru_cache(maxsize=1024)
def clip_of_line(line: str, n_columns: int) -> Clip:
    """Return one row as a clip; ValueError when it is not of the right form."""
    row = comma_fields(line)
    if len(row) != n_columns:
        raise ValueError(f"{len(row)} fields instead of {n_columns}")
    file, labels, split = (text.strip() for text in [*row, "", ""][:3])
    parts = file.split("/")
    if "\\" in file or any(part in ("", ".", "..") for part in parts):
        raise ValueError("the first field is the path of a file in this folder, such as dog/a.wav")
    name = clip_name(file) if is_media(file) else file
    names = dict.fromkeys(label.strip() for label in labels.split("|") if label.strip())
    return Clip(name, 0.0, math.inf, split, tuple(names), name)


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Return no events: labels are of whole files."""
    require_split("folder", split, sorted({clip.split for clip in all_clips(folder)} - {""}))
    return iter(())


def vocabulary(folder: Path) -> Vocabulary:
    """Return the labels of `labels.csv` or of the folders, sorted."""
    return classes_of(all_clips(folder))


def classes_of(clips: Iterable[Clip]) -> Vocabulary:
    """Return every label of some clips, sorted."""
    return Vocabulary(tuple(sorted({label for clip in clips for label in clip.labels})))
