"""Media files of your own: every file in one folder is a clip, `labels.csv` may say more.

A clip's key is the file's stem, its end is open. Only the folder itself is read, not folders in
it, and hidden files are passed over. `labels.csv` (`file,labels,split`; the last two columns may
be absent; labels are separated by `|`) may lie beside the media or alone in an annotation folder:

- a file without a row is a clip without labels and split;
- a row whose file is not there is a clip all the same, so that the job can report it missing;
- two rows of one file are merged, with a warning;
- two files with one stem are an error, because their clips would share a key.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.failure import UsageError
from schemas.labels import Vocabulary
from schemas.manifests.checks import merge_repeats, require_split
from schemas.manifests.lines import bad_line, comma_fields, read_lines
from schemas.media_names import MEDIA_SUFFIXES, clip_name, is_media
from schemas.messages import printable

LABEL_FILE = "labels.csv"
COLUMNS = ("file", "labels", "split")


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Clips sorted by file name; `repair` changes nothing."""
    stems = media_stems(folder)
    rows = {row.key: row for row in merge_repeats("folder", lambda: label_rows(folder))}
    if not stems and not rows:
        raise UsageError(
            f"{folder} holds no media file and no {LABEL_FILE} with rows; media end in "
            f"{' '.join(sorted(MEDIA_SUFFIXES))}, and folders inside it are not searched"
        )
    require_split("folder", split, splits(folder))
    clips = (
        rows.get(stem) or Clip(stem, 0.0, math.inf, name=stem) for stem in sorted({*stems, *rows})
    )
    return (clip for clip in clips if split in (None, clip.split))


def splits(folder: Path) -> list[str]:
    """The splits that `labels.csv` names, sorted."""
    return sorted({row.split for row in label_rows(folder)} - {""})


def media_stems(folder: Path) -> list[str]:
    """Stems of the media files in `folder`; `UsageError` when two files share one."""
    if not folder.is_dir():
        raise UsageError(f"media folder {folder} does not exist or is no folder")
    files: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() or not is_media(path.name):
            continue  # a link that leads nowhere or a FIFO is a clip, which the job reports
        name = clip_name(path.name)
        other = files.setdefault(name, path.name)
        if other != path.name:
            raise UsageError(
                f"{folder} holds {printable(other)} and {printable(path.name)}, whose clips would "
                f"both be called {name!r}; rename or move one of them"
            )
    return list(files)


def label_rows(folder: Path) -> Iterator[Clip]:
    """The rows of `labels.csv` as clips, none when there is no such file."""
    path = folder / LABEL_FILE
    if not path.is_file():
        return
    lines = read_lines(path)
    number, first = next(lines, (1, ""))
    columns = tuple(name.strip() for name in first.split(","))
    if columns not in (COLUMNS, COLUMNS[:2], COLUMNS[:1]):
        raise bad_line(path, number, first, f"the header {','.join(COLUMNS)!r}")
    for number, line in lines:
        try:
            yield clip_of_row(comma_fields(line), len(columns))
        except ValueError as error:
            expected = "a file's name, its labels separated by | and its split"
            raise bad_line(path, number, line, expected, str(error)) from None


def clip_of_row(row: list[str], n_columns: int) -> Clip:
    """One row as a clip; ValueError when it is not of the right form."""
    if len(row) != n_columns:
        raise ValueError(f"{len(row)} fields instead of {n_columns}")
    file, labels, split = (text.strip() for text in [*row, "", ""][:3])
    if not file or "/" in file or "\\" in file:
        raise ValueError("the first field is the name of a file in this folder")
    path = Path(file)
    stem = path.stem if path.suffix.lower() in MEDIA_SUFFIXES else file
    names = dict.fromkeys(label.strip() for label in labels.split("|") if label.strip())
    return Clip(stem, 0.0, math.inf, split, tuple(names), stem)


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """None: `labels.csv` labels whole files."""
    require_split("folder", split, splits(folder))
    return iter(())


def vocabulary(folder: Path) -> Vocabulary:
    """The labels of `labels.csv`, sorted; empty without such a file."""
    return Vocabulary(tuple(sorted({name for row in label_rows(folder) for name in row.labels})))
