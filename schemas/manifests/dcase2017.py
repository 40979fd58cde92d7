"""DCASE 2017 task 4, "sound event detection for smart cars": 17 classes, a part of AudioSet.

Splits: `train` (the challenge's training set, 51,172 clips), `val` (its testing or development
set, 488), `test` (its evaluation set, 1,103). Labels come from `groundtruth_weak_label_*_set.csv`
(one row for each clip and label), because class names with commas in them are not told apart in
`training_set.csv`; second-wise truth comes from `groundtruth_strong_label_*_set.csv`.

The strong files hold rows from 0 to 0 (36 in val, 150 in test) for labels without a place in
time; they stay by default, `repair=True` leaves them out.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.labels import Vocabulary
from schemas.manifests.checks import drop_empty, merge_repeats, require_files, require_split
from schemas.manifests.lines import cut_name, fields, parse_lines, seconds, unique

HOME = (
    "published at github.com/ankitshah009/Task-4-Large-scale-weakly-supervised-sound-event-"
    "detection-for-smart-cars, in its root and in groundtruth_release"
)
"""Where the files come from, for error messages."""

CLASSES = (
    "Train horn", "Air horn, truck horn", "Car alarm", "Reversing beeps", "Bicycle", "Skateboard",
    "Ambulance (siren)", "Fire engine, fire truck (siren)", "Civil defense siren",
    "Police car (siren)", "Screaming", "Car", "Car passing by", "Bus", "Truck", "Motorcycle",
    "Train",
)  # fmt: skip
"""Class names in the order of the challenge's list."""

CHALLENGE_NAMES = {"train": "training", "val": "testing", "test": "evaluation"}


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the clips of one split, or of train, val and test, in order of first appearance.

    The files are ordered by class, so one split is held in memory. `repair` changes nothing.
    """
    require_split("dcase2017", split, tuple(CHALLENGE_NAMES))
    splits = tuple(CHALLENGE_NAMES) if split is None else (split,)
    files = [f"groundtruth_weak_label_{CHALLENGE_NAMES[name]}_set.csv" for name in splits]
    paths = require_files("dcase2017", folder, files, HOME)

    def read() -> Iterator[Clip]:
        for name, path in zip(splits, paths, strict=True):
            yield from clips_of_rows(path, name)

    return merge_repeats("dcase2017", read)


def clips_of_rows(path: Path, split: str) -> Iterator[Clip]:
    """Yield the rows of a weak file, (clip, label) each, gathered into clips."""

    def parse(line: str) -> Clip:
        name, start, end, label = fields(line, 4, "\t")
        clip = Clip(*cut_name(name.removesuffix(".wav")), split, unique([label], CLASSES))
        if (clip.start_s, clip.end_s) != (seconds(start), seconds(end)):
            raise ValueError("the name and the two times differ")
        return clip

    expected = "<id>_<start>_<end>.wav, start, end and a class, tab separated"
    clips: dict[str, Clip] = {}
    for clip in parse_lines(path, parse, expected):
        first = clips.setdefault(clip.key, clip)
        labels = tuple(dict.fromkeys([*first.labels, *clip.labels]))
        clips[clip.key] = replace(first, labels=labels)
    yield from clips.values()


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Yield audio events of val and test, in seconds from the clip's start; train has none."""
    require_split("dcase2017", split, tuple(CHALLENGE_NAMES))
    splits = [name for name in ("val", "test") if split in (None, name)]
    files = [f"groundtruth_strong_label_{CHALLENGE_NAMES[name]}_set.csv" for name in splits]
    paths = require_files("dcase2017", folder, files, HOME)

    def parse(line: str) -> Event:
        name, onset, offset, label = fields(line, 4, "\t")
        key = Clip(*cut_name(name.removesuffix(".wav"))).key
        return Event(key, "audio", seconds(onset), seconds(offset), *unique([label], CLASSES))

    expected = "<id>_<start>_<end>.wav, onset, offset and a class, tab separated"
    events = (event for path in paths for event in parse_lines(path, parse, expected))
    return drop_empty("dcase2017", events) if repair else events


def vocabulary(folder: Path) -> Vocabulary:
    """Return the 17 classes; `folder` is not read."""
    return Vocabulary(CLASSES)
