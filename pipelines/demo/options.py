"""What one can ask of the demo world, and what its three difficulties mean."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pipelines.demo.classes import CLASSES
from schemas import UsageError
from schemas.published import cache_folder

DEMO_VERSION = 1
"""Raised whenever a change of the code changes a byte of the generated files."""

MOST_CLIPS = 10_000
"""The four digits of a clip's id count from 0000 to 9999."""

DifficultyName = Literal["easy", "default", "hard"]


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """Ranges from which every clip draws; pairs are (lowest, highest)."""

    height: tuple[float, float]
    """Height of an object as a share of the frame's height."""
    level_db: tuple[float, float]
    """Loudness of a sounding event over the noise floor, in dB of root mean square."""
    clutter: tuple[int, int]
    """Shapes of no class that lie in the background."""
    decoys: tuple[int, int]
    """Moving shapes of no class in front of the background."""
    distractors: tuple[int, int]
    """Sounds of no class."""
    distractor_db: tuple[float, float]
    """Loudness of those sounds over the noise floor, in dB."""
    pan: float
    """How far the camera travels, as a share of the frame."""
    shake: float
    """Size of the camera's tremble, in pixels."""
    grain: int
    """Largest step of the video's noise, in grey levels of 255."""


DIFFICULTIES: dict[str, Difficulty] = {
    "easy": Difficulty(
        height=(0.45, 0.62), level_db=(18, 26), clutter=(0, 2), decoys=(0, 0),
        distractors=(0, 0), distractor_db=(0, 0), pan=0.02, shake=0.0, grain=0,
    ),
    "default": Difficulty(
        height=(0.38, 0.58), level_db=(12, 20), clutter=(2, 5), decoys=(0, 1),
        distractors=(0, 1), distractor_db=(3, 9), pan=0.05, shake=0.3, grain=0,
    ),
    "hard": Difficulty(
        height=(0.26, 0.44), level_db=(6, 14), clutter=(6, 12), decoys=(1, 3),
        distractors=(1, 3), distractor_db=(5, 12), pan=0.10, shake=1.0, grain=12,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Settings of one demo world; equal options give equal bytes with one build of ffmpeg."""

    clips: int = 24
    """How many clips; clip i is the same whatever this number is."""
    seed: int = 0
    """Another seed is another world."""
    classes: int = 12
    """How many of the sixteen classes occur."""
    difficulty: DifficultyName = "default"
    """`easy`, `default` or `hard`."""
    sources: bool = False
    """Also keep the clean waveform of every event, as 16-bit WAV."""

    def __post_init__(self) -> None:
        if not 1 <= self.clips <= MOST_CLIPS:
            raise UsageError(
                f"the demo world has 1 to {MOST_CLIPS} clips, not {self.clips}; choose one of those"
            )
        if self.seed < 0:
            raise UsageError(f"the demo world's seed is {self.seed}; choose 0 or a larger number")
        if not 2 <= self.classes <= len(CLASSES):
            raise UsageError(
                f"the demo world has 2 to {len(CLASSES)} classes, not {self.classes}; "
                "choose one of those"
            )
        if self.difficulty not in DIFFICULTIES:
            raise UsageError(
                f"unknown difficulty {self.difficulty!r} of the demo world; "
                f"choose one of {', '.join(get_args(DifficultyName))}"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of this world in order."""
        return tuple(kind.name for kind in CLASSES[: self.classes])

    @property
    def ranges(self) -> Difficulty:
        """What the difficulty means."""
        return DIFFICULTIES[self.difficulty]

    @property
    def world(self) -> dict[str, Any]:
        """The settings that decide what clip i is; `clips` and `sources` do not."""
        return {
            "version": DEMO_VERSION,
            "seed": self.seed,
            "classes": self.classes,
            "difficulty": self.difficulty,
        }

    def clip_id(self, index: int) -> str:
        """Return the 11-character id of a clip: `demo`, three characters for the world, the index.

        >>> len(DemoOptions().clip_id(7)), DemoOptions().clip_id(7)[-4:]
        (11, '0007')
        """
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        number = int(hashlib.sha256(repr(self.world).encode()).hexdigest(), 16)
        world = "".join(digits[number // 62**power % 62] for power in range(3))
        return f"demo{world}{index:04d}"

    def clip_key(self, index: int) -> str:
        """Return the key of a clip, as every table has it; the media file adds `.mp4`."""
        return f"{self.clip_id(index)}_0_10"

    def to_json(self) -> dict[str, Any]:
        """Return all settings, ready for `demo.json`."""
        return asdict(self)


def demo_folder(options: DemoOptions) -> Path:
    """Return the folder where a demo world is cached."""
    name = f"{options.difficulty}-{options.classes}-{options.seed}-{options.clips}"
    return cache_folder() / "demo" / (f"{name}-sources" if options.sources else name)
