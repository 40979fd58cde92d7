"""The script of one clip: which class is heard and seen from when to when.

A scene is drawn from (seed, classes, difficulty, index) alone. Events begin and end on whole
seconds, in each modality by itself, so that the truth by seconds is exact.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.demo.classes import CLASSES
from pipelines.demo.options import DEMO_VERSION, DemoOptions

SECONDS = 10
"""Length of every clip."""

Span = tuple[int, int]
"""Whole seconds [onset, offset)."""

SceneLayer = Literal["script", "video", "audio"]

_EVENT_COUNT_SHARES = (0.05, 0.32, 0.34, 0.19, 0.10)
_SPLITS = (
    "train", "test", "val", "train", "train", "train", "test", "train", "train", "train"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SceneEvent:
    """One thing that happens: a class, heard, seen, or both."""

    event_id: int
    """0 for the first event of the clip."""
    label: str
    heard: Span | None
    seen: Span | None


@dataclass(frozen=True, slots=True)
class Scene:
    """The script of one clip."""

    index: int
    clip_key: str
    split: str
    events: tuple[SceneEvent, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Weak labels: classes heard or seen, in the order of the ontology."""
        present = {event.label for event in self.events}
        return tuple(kind.name for kind in CLASSES if kind.name in present)

    def runs(self, modality: Literal["audio", "visual"]) -> list[tuple[str, int, int]]:
        """Return (class, onset, offset) of each run of seconds; events that touch are one run."""
        seconds: dict[str, set[int]] = {}
        for event in self.events:
            span = event.heard if modality == "audio" else event.seen
            if span is not None:
                seconds.setdefault(event.label, set()).update(range(*span))
        return [
            (label, onset, offset)
            for label in self.labels
            for onset, offset in _runs(seconds.get(label, set()))
        ]


def _runs(seconds: set[int]) -> list[Span]:
    edges = np.diff([0, *(second in seconds for second in range(SECONDS)), 0])
    onsets, offsets = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(onset), int(offset)) for onset, offset in zip(onsets, offsets, strict=True)]


def generator(
    options: DemoOptions, index: int, layer: SceneLayer, item: int = 0
) -> np.random.Generator:
    """Return the random numbers of one layer of one clip; no other layer or clip moves them."""
    layer_index = ("script", "video", "audio").index(layer)
    level = ("easy", "default", "hard").index(options.difficulty)
    return np.random.default_rng(
        [DEMO_VERSION, options.seed, options.classes, level, index, layer_index, item]
    )


def plan_scene(options: DemoOptions, index: int) -> Scene:
    """Return the script of a clip: 0 to 4 events, at least one in the first ten clips."""
    rng = generator(options, index, "script")
    count = int(rng.choice(len(_EVENT_COUNT_SHARES), p=_EVENT_COUNT_SHARES))
    kinds = CLASSES[: options.classes]
    weights = np.array([kind.weight for kind in kinds])
    events = []
    for event_id in range(max(count, 1) if index < len(_SPLITS) else count):
        kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
        mode = int(rng.choice(3, p=kind.modes))
        span = _span(rng)
        heard = None if mode == 2 else _moved(span, rng)
        seen = None if mode == 1 else _moved(span, rng)
        events.append(SceneEvent(event_id, kind.name, heard, seen))
    return Scene(index, options.clip_key(index), _SPLITS[index % len(_SPLITS)], tuple(events))


def _span(rng: np.random.Generator) -> Span:
    length = int(
        rng.choice([2, 3, 4, 5, 6, 7, 8, 10], p=[0.1, 0.18, 0.18, 0.16, 0.14, 0.1, 0.08, 0.06])
    )
    onset = int(rng.integers(0, SECONDS - length + 1))
    return onset, onset + length


def _moved(span: Span, rng: np.random.Generator) -> Span:
    """Move each end of a span by up to two seconds; at least two seconds stay."""
    steps = rng.choice([-2, -1, 0, 1, 2], size=2, p=[0.1, 0.2, 0.4, 0.2, 0.1])
    onset = int(np.clip(span[0] + steps[0], 0, SECONDS - 2))
    return onset, int(np.clip(span[1] + steps[1], onset + 2, SECONDS))
