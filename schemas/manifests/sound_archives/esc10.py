"""ESC-10: the 400 recordings of ESC-50 whose ten classes are easily told apart (`esc50.csv`)."""

from collections.abc import Iterator
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.labels import Vocabulary
from schemas.manifests.sound_archives.esc50 import HOME as HOME
from schemas.manifests.sound_archives.esc50 import esc_table

TABLE = esc_table("esc10", ten=True)


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Return the clips of one fold or of all; `repair` changes nothing."""
    return TABLE.clips(folder, split)


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Return no events: labels are of whole files."""
    return TABLE.events(split)


def vocabulary(folder: Path) -> Vocabulary:
    """Return the class names in the order of ESC-50's numbers."""
    return TABLE.vocabulary(folder)
