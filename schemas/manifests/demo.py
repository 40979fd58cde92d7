"""The generated demo: clips with full second-wise truth in both modalities.

Files, written beside the clips by the demo's generator, all tab separated: `demo_classes.txt` (one
class a line, in order), `demo_clips.csv`, `demo_audio_events.csv`, `demo_visual_events.csv` (both
in the form of LLP's truth).
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from schemas.clip import Clip
from schemas.demo import AUDIO_FILE, CLASSES_FILE, CLIPS_FILE, VISUAL_FILE
from schemas.events import Event
from schemas.failure import UsageError
from schemas.labels import Vocabulary
from schemas.manifests.checks import drop_empty, merge_repeats, require_files, require_split
from schemas.manifests.lines import clip_table, event_table, read_lines

HOME = "written by the demo's generator; run the features job with the data set demo"
"""Where the files come from, for error messages."""

SPLITS = ("train", "val", "test")


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the clips of one split or of all, in the order of the file; file names are the keys."""
    require_split("demo", split, SPLITS)
    (path,) = require_files("demo", folder, [CLIPS_FILE], HOME)
    names = vocabulary(folder).names

    def read() -> Iterator[Clip]:
        for clip in clip_table(path, "filename\tsplit\tevent_labels", names, SPLITS):
            if split in (None, clip.split):
                yield clip

    return merge_repeats("demo", read)


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Yield audio events, then visual events; `repair` leaves out those that cover no time."""
    require_split("demo", split, SPLITS)
    names = (AUDIO_FILE, VISUAL_FILE)
    audio, visual = require_files("demo", folder, names, HOME)
    known = vocabulary(folder).names
    events: Iterator[Event] = chain(
        event_table(audio, "audio", known), event_table(visual, "visual", known)
    )
    if split is not None:
        keys = {clip.key for clip in read_clips(folder, split, repair)}
        events = (event for event in events if event.clip_key in keys)
    return drop_empty("demo", events) if repair else events


def vocabulary(folder: Path) -> Vocabulary:
    """Return the classes of `demo_classes.txt`, in its order."""
    (path,) = require_files("demo", folder, [CLASSES_FILE], HOME)
    try:
        return Vocabulary(tuple(line.strip() for _, line in read_lines(path)))
    except ValueError as error:
        raise UsageError(f"{path}: {error}; make the demo again") from None
