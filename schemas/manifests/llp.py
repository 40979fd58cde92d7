"""LLP, "Look, Listen and Parse" (Tian et al., ECCV 2020): 11,849 ten-second clips, 25 classes.

Files: `AVVP_train.csv` (10,000 clips), `AVVP_val_pd.csv` (649), `AVVP_test_pd.csv` (1,200), and
the second-wise truth of val and test, `AVVP_eval_audio.csv` and `AVVP_eval_visual.csv`.

`AVVP_eval_audio.csv` has two editions. The first one, with which papers up to 2023 were scored and
which most authors' repositories still hold, has two more names that match no clip; they were put
right in April 2024. Both are read as they are, and `truth_edition` tells them apart.

The released truth has defects, and every published number is with them, so they stay by default:

- 8 names in the audio file and 7 in the visual file match no clip of the data set.
- 6 rows of the audio file have onset >= offset, so they cover no second.

`repair=True` is for other uses. It leaves out rows that cover no time. A name that matches no clip
is taken for a name that lost its leading characters when exactly one clip ends with it and every
label of its rows is a weak label of that clip; else its rows are left out. In the released files
one name ends a clip's name, and its labels contradict that clip, so none is mended there.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.labels import Vocabulary
from schemas.manifests.checks import (
    NAMED,
    drop_empty,
    merge_repeats,
    require_files,
    require_split,
)
from schemas.manifests.lines import clip_table, event_table

HOME = "published at github.com/YapengTian/AVVP-ECCV20, folder data"
"""Where the files come from, for error messages."""

log = logging.getLogger(__name__)

CLASSES = (
    "Speech", "Car", "Cheering", "Dog", "Cat", "Frying_(food)", "Basketball_bounce", "Fire_alarm",
    "Chainsaw", "Cello", "Banjo", "Singing", "Chicken_rooster", "Violin_fiddle", "Vacuum_cleaner",
    "Baby_laughter", "Accordion", "Lawn_mower", "Motorcycle", "Helicopter", "Acoustic_guitar",
    "Telephone_bell_ringing", "Baby_cry_infant_cry", "Blender", "Clapping",
)  # fmt: skip
"""Class names in the order of the authors' code."""

FIRST_EDITION_NAMES = ("Baby_cry_infant_cry", "KvIjsmANkxI_10_20`")
"""Names of clips in the first edition of the audio's truth that the second has put right."""
CORRECTED, FIRST = "corrected", "first"
"""The two editions of the audio's truth."""

FILES = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}


def read_clips(folder: Path, split: str | None, repair: bool) -> Iterator[Clip]:
    """Yield the clips of one split, or of train, val and test in this order; names are keys.

    `repair` changes nothing here: the lists of clips have no known defect but one label that
    stands twice in a line.
    """
    require_split("llp", split, tuple(FILES))
    splits = tuple(FILES) if split is None else (split,)
    paths = require_files("llp", folder, [FILES[name] for name in splits], HOME)

    def read() -> Iterator[Clip]:
        for name, path in zip(splits, paths, strict=True):
            yield from clip_table(path, "filename\tevent_labels", CLASSES, (name,))

    return merge_repeats("llp", read)


def read_events(folder: Path, split: str | None, repair: bool) -> Iterator[Event]:
    """Yield audio, then visual events, in whole seconds; of all rows, or of one split's clips.

    Train has none. Names that match no clip belong to no split.
    """
    require_split("llp", split, tuple(FILES))
    names = ("AVVP_eval_audio.csv", "AVVP_eval_visual.csv")
    audio, visual = require_files("llp", folder, names, HOME)
    events: Iterator[Event] = chain(
        event_table(audio, "audio", CLASSES), event_table(visual, "visual", CLASSES)
    )
    if repair:
        clips = list(read_clips(folder, None, repair))
        events = drop_empty("llp", mend_names(list(events), clips))
    if split is not None:
        keys = {clip.key for clip in read_clips(folder, split, repair)}
        events = (event for event in events if event.clip_key in keys)
    return events


def mend_names(events: Sequence[Event], clips: Sequence[Clip]) -> Iterator[Event]:
    """Yield events whose name is a clip's key or can be mended to one; warn of the rest."""
    weak = {clip.key: set(clip.labels) for clip in clips}
    lost: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.clip_key not in weak:
            lost[event.clip_key].add(event.label)
    mended = {}
    for name, labels in lost.items():
        endings = [key for key in weak if key.endswith(name)]
        if len(endings) == 1 and labels <= weak[endings[0]]:
            mended[name] = endings[0]
    left_out = [name for name in lost if name not in mended]
    if left_out:
        log.warning(
            "llp: events of %d name(s) that match no clip are left out: %s",
            len(left_out), ", ".join(left_out[: 2 * NAMED]),
        )  # fmt: skip
    for event in events:
        if event.clip_key in weak:
            yield event
        elif event.clip_key in mended:
            yield replace(event, clip_key=mended[event.clip_key])


def truth_edition(names: Collection[str]) -> str:
    """Return the edition of the audio's truth whose events name these clips; empty for no events.

    >>> truth_edition({"KvIjsmANkxI_10_20"}), truth_edition({"KvIjsmANkxI_10_20`"})
    ('corrected', 'first')
    """
    if not names:
        return ""
    return FIRST if any(name in names for name in FIRST_EDITION_NAMES) else CORRECTED


def vocabulary(folder: Path) -> Vocabulary:
    """Return the 25 classes; `folder` is not read."""
    return Vocabulary(CLASSES)
