"""Tones: a list `tones.txt` of one clip per line, `<file name without ending> <split> <label>`."""

from collections.abc import Iterator
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.labels import Vocabulary
from schemas.manifests.checks import require_files, require_split
from schemas.manifests.lines import fields, parse_lines, unique

HOME = "made by hand"
CLASSES = ("high", "low")
SPLITS = ("train", "val", "test")
LENGTH_S = 2.0


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the clips of one split or of all, 2 s each."""
    require_split("tones", split, SPLITS)
    (path,) = require_files("tones", folder, ["tones.txt"], HOME)

    def parse(line: str) -> Clip:
        name, part, label = fields(line, 3, " ")
        return Clip(name, 0.0, LENGTH_S, part, unique([label], CLASSES), name)

    clips = parse_lines(path, parse, "<name> <split> <label>")
    return (clip for clip in clips if split in (None, clip.split))


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Yield one event per clip: a tone is heard from the beginning to the end."""
    for clip in read_clips(folder, split, repair):
        yield Event(clip.key, "audio", 0.0, LENGTH_S, *clip.labels)


def vocabulary(folder: Path) -> Vocabulary:
    """Return the two classes."""
    return Vocabulary(CLASSES)
