"""Dense truth: which class is heard or seen from when to when, and its one-second grid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.labels import Vocabulary

Modality = Literal["audio", "visual"]


@dataclass(frozen=True, slots=True)
class Event:
    """One annotated event of one clip, in seconds from the clip's start.

    Kept as the annotation file has it, also where `onset_s >= offset_s` (such an event covers no
    second) and where `clip_key` matches no clip.
    """

    clip_key: str
    modality: Modality
    onset_s: float
    offset_s: float
    label: str


def second_grid(
    events: Iterable[Event],
    clip_keys: Sequence[str],
    vocabulary: Vocabulary,
    modality: Modality,
    n_seconds: int = 10,
) -> NDArray[np.bool_]:
    """Return the truth of N clips, bool [N, T, C]: second t is positive when onset <= t < offset.

    Events of other clips or of the other modality are passed over; onset and offset are cut to
    whole seconds as the official LLP evaluation does (floor of the onset, floor of the offset).
    """
    row_of = {key: row for row, key in enumerate(clip_keys)}
    grid = np.zeros((len(clip_keys), n_seconds, len(vocabulary)), dtype=np.bool_)
    for event in events:
        if event.modality == modality and event.clip_key in row_of:
            seconds = slice(int(event.onset_s), max(int(event.onset_s), int(event.offset_s)))
            grid[row_of[event.clip_key], seconds, vocabulary.index(event.label)] = True
    return grid
