"""AudioSet (Gemmeke et al., ICASSP 2017): 527 classes, clips of ten seconds or a little less.

Files: `class_labels_indices.csv`, and for each split its list `balanced_train_segments.csv`
(22,160 clips), `unbalanced_train_segments.csv` (about 2 million), `eval_segments.csv` (20,371).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.failure import UsageError
from schemas.labels import Vocabulary
from schemas.manifests.checks import merge_repeats, require_files, require_split
from schemas.manifests.lines import comma_fields, parse_lines, seconds

HOME = "published at research.google.com/audioset/download.html"
"""Where the files come from, for error messages."""

FILES = {
    "balanced_train": "balanced_train_segments.csv",
    "unbalanced_train": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
ALIASES = {"train": "balanced_train", "test": "eval"}
"""Short names that may be asked for; a clip's own split keeps the long name."""
CLASS_FILE = "class_labels_indices.csv"


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the clips of one split, or of every list that is there; labels are display names.

    Segments that are not ten seconds long stay as they are. `repair` changes nothing.
    """
    require_split("audioset", split, (*FILES, *ALIASES))
    if split is None:
        splits = [name for name, file in FILES.items() if (folder / file).is_file()]
        splits = splits or ["balanced_train", "eval"]
    else:
        splits = [ALIASES.get(split, split)]
    files = [FILES[name] for name in splits]
    require_files("audioset", folder, [CLASS_FILE, *files], HOME)
    display = display_names(folder)
    expected = 'a segment as <id>, <start>, <end>, "<mid>,<mid>" with known mids'

    def read() -> Iterator[Clip]:
        for name in splits:
            parse = segment_parser(name, display)
            yield from parse_lines(folder / FILES[name], parse, expected, skip="#")

    return merge_repeats("audioset", read)


def segment_parser(split: str, display: dict[str, str]) -> Callable[[str], Clip]:
    """Return a parser of one line of a segment list; `display` maps mids to display names."""

    def parse(line: str) -> Clip:
        row = comma_fields(line)
        if len(row) != 4:
            raise ValueError(f"{len(row)} fields instead of 4")
        try:
            labels = tuple(dict.fromkeys([display[mid] for mid in row[3].split(",")]))
        except KeyError as error:
            raise ValueError(f"unknown label {error}") from None
        return Clip(row[0], seconds(row[1]), seconds(row[2]), split, labels)

    return parse


def display_names(folder: Path) -> dict[str, str]:
    """Return the display name of each mid, in index order."""
    (path,) = require_files("audioset", folder, [CLASS_FILE], HOME)
    display: dict[str, str] = {}

    def parse(line: str) -> None:
        index, mid, name = [*comma_fields(line), "", ""][:3]
        if not (mid and name and index == str(len(display))) or mid in display:
            raise ValueError(f"index {len(display)} should stand here, with a new mid")
        display[mid] = name

    expected = "a class as <index>,<mid>,<display name>, indices counting from 0"
    for _ in parse_lines(path, parse, expected, header="index,mid,display_name"):
        pass
    return display


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Return no events: these lists hold weak labels only."""
    require_split("audioset", split, (*FILES, *ALIASES))
    return iter(())


def vocabulary(folder: Path) -> Vocabulary:
    """Return the 527 display names in index order."""
    try:
        return Vocabulary(tuple(display_names(folder).values()))
    except ValueError as error:
        raise UsageError(f"{folder / CLASS_FILE}: {error}; fetch the file again") from None
