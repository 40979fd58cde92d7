"""The musical instruments of Kinetics-400 (Kay et al., 2017), as one label for each clip.

Files: `kinetics-400_train.csv`, `kinetics-400_val.csv`, `kinetics-400_test.csv`, whichever are
there, with the columns label, youtube_id, time_start, time_end and further ones that are not read.

Parekh et al. (TASLP 2019) name no list of classes in what is published openly, so the rule is
ours: the 22 classes called "playing <musical instrument>". Left out are games and sports
("playing chess"), a second class for an instrument that has one ("strumming guitar", "tapping
guitar"), and sound made without an instrument ("air drumming", "beatboxing", "drumming fingers",
"singing", "tapping pen", "whistling") or not by playing ("recording music").
"""

from collections.abc import Iterator
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.labels import Vocabulary
from schemas.manifests.checks import merge_repeats, require_files, require_split
from schemas.manifests.lines import bad_line, comma_fields, parse_lines, read_lines, seconds

HOME = "the lists of Kinetics-400, to be put there by hand"
"""Where the files come from, for error messages."""

INSTRUMENTS = (
    "accordion", "bagpipes", "bass guitar", "cello", "clarinet", "cymbals", "didgeridoo", "drums",
    "flute", "guitar", "harmonica", "harp", "keyboard", "organ", "piano", "recorder", "saxophone",
    "trombone", "trumpet", "ukulele", "violin", "xylophone",
)  # fmt: skip
CLASSES = tuple(f"playing {instrument}" for instrument in INSTRUMENTS)
"""Class names as Kinetics has them, in alphabetical order."""

FILES = {name: f"kinetics-400_{name}.csv" for name in ("train", "val", "test")}
COLUMNS = "label,youtube_id,time_start,time_end"
"""The header starts with these."""


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the clips of one split, or of every list that is there; its name is the split.

    `repair` changes nothing.
    """
    require_split("kinetics-instruments", split, tuple(FILES))
    here = [name for name, file in FILES.items() if (folder / file).is_file()]
    splits = [split] if split else here or list(FILES)
    files = [FILES[name] for name in splits]
    paths = require_files("kinetics-instruments", folder, files, HOME)

    def read() -> Iterator[Clip]:
        for name, path in zip(splits, paths, strict=True):
            yield from clips_of_list(path, name)

    return merge_repeats("kinetics-instruments", read)


def clips_of_list(path: Path, split: str) -> Iterator[Clip]:
    """Yield the instrument clips of one list."""
    number, first = next(read_lines(path), (1, ""))
    if not first.startswith(COLUMNS):
        raise bad_line(path, number, first, f"a header that starts with {COLUMNS!r}")

    def parse(line: str) -> Clip | None:
        row = comma_fields(line)
        if len(row) < 4:
            raise ValueError(f"{len(row)} fields instead of 4 or more")
        clip = Clip(row[1], seconds(row[2]), seconds(row[3]), split, (row[0],))
        return clip if row[0] in CLASSES else None

    expected = "<label>,<youtube id>,<start>,<end>"
    for clip in parse_lines(path, parse, expected, skip=COLUMNS):
        if clip is not None:
            yield clip


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Return no events: Kinetics labels whole clips."""
    require_split("kinetics-instruments", split, tuple(FILES))
    return iter(())


def vocabulary(folder: Path) -> Vocabulary:
    """Return the 22 classes; `folder` is not read."""
    return Vocabulary(CLASSES)
