"""AVE, "Audio-Visual Event Localization" (Tian et al., ECCV 2018): 4,143 samples, 28 classes.

Files: `Annotations.txt` (`Category&VideoID&Quality&StartTime&EndTime`, the last two in seconds of
the ten-second clip) and `train_order.h5` (3,339), `val_order.h5` (402), `test_order.h5` (402),
whose `order` lists the lines of a split, counted from 0.

The files do not say where in its YouTube video a clip starts: the clips are the published ten
seconds long videos `<video id>.mp4`, so every clip is 0 to 10.

Of 4,097 videos 45 are annotated two or three times, each time with another category, and 18 of
these stand in two splits. The protocol of the paper counts every line as a sample of its own, so
each line is a clip: the first of a video has the key `<video id>_0_10`, the second
`<video id>_0_10_2`, the third `<video id>_0_10_3`, counted in the order of the lines.

One line (`VWi2ENBuTbw`) has an event from 0 to 0; `repair=True` leaves that event out.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.failure import UsageError
from schemas.labels import Vocabulary
from schemas.manifests.checks import drop_empty, require_files, require_split
from schemas.manifests.lines import fields, parse_lines, seconds, unique

HOME = "published at github.com/YapengTian/AVE-ECCV18, folder data"
"""Where the files come from, for error messages."""

log = logging.getLogger(__name__)

CLASSES = (
    "Church bell", "Male speech, man speaking", "Bark", "Fixed-wing aircraft, airplane",
    "Race car, auto racing", "Female speech, woman speaking", "Helicopter", "Violin, fiddle",
    "Flute", "Ukulele", "Frying (food)", "Truck", "Shofar", "Motorcycle", "Acoustic guitar",
    "Train horn", "Clock", "Banjo", "Goat", "Baby cry, infant cry", "Bus", "Chainsaw", "Cat",
    "Horse", "Toilet flush", "Rodents, rats, mice", "Accordion", "Mandolin",
)  # fmt: skip
"""Class names in the order in which they first appear in `Annotations.txt`; the lists in public
code for AVE have the same order. The extra class "background" of the paper is not a label."""

SPLITS = ("train", "val", "test")


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the clips of one split in the order of its file, or of train, val and test.

    Lines that no split lists come last, with an empty split and a warning.
    """
    return (replace(clip, split=name) for name, (clip, _) in samples(folder, split))


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Yield the event of each clip, which is both heard and seen: an audio and a visual event."""
    events = (
        replace(event, modality=modality)
        for _, (_, event) in samples(folder, split)
        for modality in ("audio", "visual")
    )
    return drop_empty("ave", events) if repair else events


def samples(folder: Path, split: str | None) -> Iterator[tuple[str, tuple[Clip, Event]]]:
    """Yield split name and annotation line of every sample asked for."""
    require_split("ave", split, SPLITS)
    splits = SPLITS if split is None else (split,)
    files = [f"{name}_order.h5" for name in splits]
    path, *orders = require_files("ave", folder, ["Annotations.txt", *files], HOME)

    def read() -> Iterator[tuple[str, tuple[Clip, Event]]]:
        lines = list(read_annotations(path))
        listed: set[int] = set()
        for name, order in zip(splits, orders, strict=True):
            indices = read_order(order, len(lines))
            listed.update(indices)
            yield from ((name, lines[index]) for index in indices)
        rest = [line for index, line in enumerate(lines) if index not in listed]
        if split is None and rest:
            log.warning("ave: %d line(s) of %s are in no split", len(rest), path)
            yield from (("", line) for line in rest)

    return read()


def read_annotations(path: Path) -> Iterator[tuple[Clip, Event]]:
    """Yield clip and event (modality audio) of each line."""
    lines_of_video: Counter[str] = Counter()

    def parse(line: str) -> tuple[Clip, Event]:
        category, video_id, _, onset, offset = fields(line, 5, "&")
        labels = unique([category], CLASSES)
        lines_of_video[video_id] += 1
        count = lines_of_video[video_id]
        name = "" if count == 1 else f"{video_id}_0_10_{count}"
        clip = Clip(video_id, 0.0, 10.0, labels=labels, name=name)
        return clip, Event(clip.key, "audio", seconds(onset), seconds(offset), category)

    expected = "<category>&<video id>&<quality>&<start>&<end> with a known category"
    return parse_lines(path, parse, expected, skip="Category&")


def read_order(path: Path, n_lines: int) -> list[int]:
    """Return the line indices of one split; `UsageError` when the file is no such list."""
    import h5py

    try:
        with h5py.File(path) as file:
            indices = [int(index) for index in file["order"][:]]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} is no HDF5 file with a list `order` ({error}); fetch the file again"
        ) from None
    outside = [index for index in indices if not 0 <= index < n_lines]
    if outside or len(set(indices)) != len(indices):
        what = f"lists line {outside[0]}" if outside else "lists a line twice"
        raise UsageError(
            f"{path} {what}, but Annotations.txt has lines 0 to {n_lines - 1}, each to be listed "
            "once; take both files from the same release"
        )
    return indices


def vocabulary(folder: Path) -> Vocabulary:
    """Return the 28 classes; `folder` is not read."""
    return Vocabulary(CLASSES)
