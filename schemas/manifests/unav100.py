"""UnAV-100 (Geng et al., CVPR 2023): 10,790 untrimmed videos, 100 classes of audio-visual events.

File: `unav100_annotations.json`, whose object `database` has for each video id the `subset` (train,
validation or test), the `duration` in seconds, and `annotations`, each with `segment` (onset and
offset in seconds), `label` and `label_id`. Classes are ordered by their id.

A clip is a whole video, from 0 to its duration. An event is both heard and seen. The authors'
evaluation drops events of equal label that start and end within a millisecond of another of the
same video; so does `read_events`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.checked_json import Record, parse_json
from schemas.clip import Clip
from schemas.events import Event, Modality
from schemas.failure import UsageError
from schemas.labels import Vocabulary
from schemas.manifests.checks import drop_empty, require_files, require_split
from schemas.messages import quoted

HOME = "published at unav100.github.io"
"""Where the file comes from, for error messages."""
FILE = "unav100_annotations.json"
SPLITS = ("train", "val", "test")
SUBSETS = {"train": "train", "validation": "val", "test": "test"}
"""Name of a split by what the file calls it."""
SAME_S = 1e-3
"""Events of one label whose ends are no further apart are one."""


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the videos of one split, or of all, in the order of the file."""
    return (clip for clip, _ in samples(folder, split))


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Yield the events of each video as an audio and a visual event; `repair` drops empty ones."""
    events = (event for _, events in samples(folder, split) for event in events)
    return drop_empty("unav100", events) if repair else events


def vocabulary(folder: Path) -> Vocabulary:
    """Return the labels in the order of their ids; `UsageError` where an id has two."""
    (path,) = require_files("unav100", folder, [FILE], HOME)
    names: dict[int, str] = {}
    for key, video in _videos(path):
        with _named(path, key):
            for found in map(Record, video.items("annotations", dict)):
                number, label = found.get("label_id", int), found.get("label", str)
                if names.setdefault(number, label) != label:
                    raise ValueError(
                        f"label_id {number} is {label!r} here, {names[number]!r} before"
                    )
    return Vocabulary(tuple(names[number] for number in sorted(names)))


def samples(folder: Path, split: str | None) -> Iterator[tuple[Clip, list[Event]]]:
    """Yield every video asked for with its events, an audio and a visual one of each."""
    require_split("unav100", split, SPLITS)
    (path,) = require_files("unav100", folder, [FILE], HOME)
    return (
        sample
        for key, video in _videos(path)
        for sample in [_sample(path, key, video)]
        if split in (None, sample[0].split)
    )


def _videos(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield id and record of each video of the file."""
    try:
        content = parse_json(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        videos = Record(content).mapping("database", dict)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no file of annotations ({error}); fetch it again") from None
    return ((key, Record(video)) for key, video in videos.items())


@contextmanager
def _named(path: Path, key: str) -> Iterator[None]:
    """Turn a ValueError into a `UsageError` that names file and video."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{path}, video {quoted(key)}: {error}; fetch the file again") from None


def _sample(path: Path, key: str, video: Record) -> tuple[Clip, list[Event]]:
    with _named(path, key):
        subset = video.get("subset", str).lower()
        if subset not in SUBSETS:
            raise ValueError(f"'subset' is {subset!r}, should be {', '.join(SUBSETS)}")
        spans = [_span(Record(found)) for found in video.items("annotations", dict)]
        labels = tuple(dict.fromkeys(label for label, _, _ in spans))
        clip = Clip(key, 0.0, video.get("duration", float), SUBSETS[subset], labels)
    kept: list[tuple[str, float, float]] = []
    for label, onset, offset in spans:
        same = (abs(onset - a) <= SAME_S and abs(offset - b) <= SAME_S and label == other
                for other, a, b in kept)  # fmt: skip
        if not any(same):
            kept.append((label, onset, offset))
    modalities: tuple[Modality, ...] = ("audio", "visual")
    events = [
        Event(clip.key, modality, onset, offset, label)
        for label, onset, offset in kept
        for modality in modalities
    ]
    return clip, events


def _span(found: Record) -> tuple[str, float, float]:
    """Return label, onset and offset of an annotation."""
    ends = found.items("segment", float)
    if len(ends) != 2 or not all(math.isfinite(end) for end in ends):
        raise ValueError(f"'segment' is {list(ends)}, should be two numbers")
    return found.get("label", str), *ends
