"""UrbanSound8K (Salamon et al., "A dataset and taxonomy for urban sound research", 2014).

8,732 clips of four seconds at most, ten classes, ten folds by source. The archive as it comes:
`metadata/UrbanSound8K.csv` and `audio/fold1/101415-3-0-2.wav`.
"""

from collections.abc import Iterator
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.labels import Vocabulary
from schemas.manifests.sound_archives.fold_tables import FoldTable, Row

HOME = "published at urbansounddataset.weebly.com and zenodo.org/records/1203745"
"""Where the files come from, for error messages."""


def _row(cells: list[str]) -> Row:
    file, source, _, _, _, fold, number, label = cells
    return Row(file, fold, source, int(number), label)


TABLE = FoldTable(
    "urbansound8k",
    ("metadata/UrbanSound8K.csv", "UrbanSound8K.csv"),
    HOME,
    "slice_file_name,fsID,start,end,salience,fold,classID,class",
    _row,
    folds=10,
)


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Return the clips of one fold or of all; `repair` changes nothing."""
    return TABLE.clips(folder, split)


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Return no events: labels are of whole files."""
    return TABLE.events(split)


def vocabulary(folder: Path) -> Vocabulary:
    """Return the class names in the order of their numbers."""
    return TABLE.vocabulary(folder)
