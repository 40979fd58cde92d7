"""Sound archives with one table of files and folds: what ESC-50 and UrbanSound8K have in common.

A row names a file, its fold, the recording that it was cut from, and its class by number and name.
The fold is the clip's split. Clips of one recording should be in one fold: a net that has heard one
of them knows the others.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.failure import UsageError
from schemas.labels import Vocabulary
from schemas.manifests.checks import require_split
from schemas.manifests.lines import comma_fields, parse_lines
from schemas.media_names import clip_name, is_media
from schemas.messages import listed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """One file of an archive."""

    file: str
    fold: str
    source: str
    number: int
    label: str
    chosen: bool = True
    """Whether the row belongs to the data set: a table may hold more."""


@dataclass(frozen=True)
class FoldTable:
    """The table of an archive."""

    dataset: str
    places: tuple[str, ...]
    """Where the table may lie in the folder that is given."""
    home: str
    header: str
    row: Callable[[list[str]], Row]
    """Return the fields of a line as a row; ValueError, LookupError when it is not of the form."""
    folds: int

    def rows(self, folder: Path) -> list[Row]:
        """Return the rows of the data set; `UsageError` for a missing or unreadable table."""
        path = self.path(folder)
        seen: set[str] = set()

        def parse(line: str) -> Row:
            cells = comma_fields(line)
            if len(cells) != self.header.count(",") + 1:
                raise ValueError(f"{len(cells)} fields instead of {self.header.count(',') + 1}")
            row = self.row(cells)
            if not is_media(row.file) or "/" in row.file or not row.label:
                raise ValueError("a row names a sound file without its folder, and a class")
            if row.fold not in self.fold_names():
                raise ValueError(f"folds are {', '.join(self.fold_names())}")
            if row.file in seen:
                raise ValueError("the file stands in a row before")
            seen.add(row.file)
            return row

        every = list(parse_lines(path, parse, f"a row of {self.header}", header=self.header))
        rows = [row for row in every if row.chosen]
        self._warn_of_shared_sources(rows)
        return rows

    def path(self, folder: Path) -> Path:
        """Return where the table is; `UsageError` that names the places when it is nowhere."""
        if not folder.is_dir():
            raise UsageError(
                f"folder {folder} of data set {self.dataset} does not exist; wanted there: "
                f"{self.places[0]} ({self.home})"
            )
        for place in self.places:
            if (folder / place).is_file():
                return folder / place
        raise UsageError(
            f"folder {folder} lacks {self.places[0]}; data set {self.dataset} is its archive as it "
            f"comes ({self.home}), or give the folder of the table with --annotations"
        )

    def fold_names(self) -> tuple[str, ...]:
        """Return the names of the folds, which are those of the splits."""
        return tuple(map(str, range(1, self.folds + 1)))

    def read_clips(self, folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
        """Return the clips of one fold or of all, in the order of the table.

        An unknown fold shows at once; `repair` changes nothing.
        """
        require_split(self.dataset, split, self.fold_names())
        rows = self.rows(folder)
        return (
            Clip(clip_name(row.file), 0.0, math.inf, row.fold, (row.label,), clip_name(row.file))
            for row in rows
            if split in (None, row.fold)
        )

    def read_events(self, folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
        """Return no events: labels are of whole files."""
        require_split(self.dataset, split, self.fold_names())
        return iter(())

    def vocabulary(self, folder: Path) -> Vocabulary:
        """Return the class names in the order of their numbers."""
        by_number = sorted({(row.number, row.label) for row in self.rows(folder)})
        try:
            return Vocabulary(tuple(label for _, label in by_number))
        except ValueError as error:
            raise UsageError(f"{self.path(folder)}: {error}; fetch the file again") from None

    def _warn_of_shared_sources(self, rows: list[Row]) -> None:
        folds: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            folds[row.source].add(row.fold)
        shared = [source for source, held in folds.items() if len(held) > 1]
        if shared:
            log.warning(
                "%s: %d recordings have clips in several folds (%s): a fold is then tested on what "
                "the net has half heard", self.dataset, len(shared), listed(shared, most=3),
            )  # fmt: skip
