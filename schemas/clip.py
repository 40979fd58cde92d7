"""The clip, the unit that everything is keyed by, and one-second snippets of it."""

import math
from dataclasses import dataclass

from schemas.messages import quoted


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of one video with its labels, as an annotation file gives it."""

    video_id: str
    """The 11-character YouTube id; for dataset `folder` the file's stem."""
    start_s: float
    """Start in the video, in seconds."""
    end_s: float
    """End in the video, in seconds (exclusive); infinite means: to the end of the file."""
    split: str = ""
    """`train`, `val`, `test`, or empty where the data set has no splits."""
    labels: tuple[str, ...] = ()
    """Weak (clip-level) labels, in the order of the annotation file, without repeats."""
    name: str = ""
    """The key where the data set fixes it (file stems, LLP's file names); else it is built."""

    def __post_init__(self) -> None:
        if not self.video_id:
            raise ValueError(f"clip at {self.start_s:g}-{self.end_s:g} s has no video id")
        if not 0 <= self.start_s < self.end_s:
            raise ValueError(
                f"clip {quoted(self.video_id)}: need 0 <= start_s < end_s, "
                f"got start_s={self.start_s:g}, end_s={self.end_s:g}"
            )

    @property
    def key(self) -> str:
        """`<video_id>_<start>_<end>`, or the name that the data set fixes.

        >>> Clip("BjCEufrlXm4", 20.0, 30.0).key
        'BjCEufrlXm4_20_30'
        """
        return self.name or f"{self.video_id}_{time_name(self.start_s)}_{time_name(self.end_s)}"

    @property
    def n_snippets(self) -> int | None:
        """How many one-second snippets the clip spans (rounded), None when its end is open."""
        if math.isinf(self.end_s):
            return None
        return max(1, math.floor(self.end_s - self.start_s + 0.5))


def time_name(seconds: float) -> str:
    """Return a time as file names and keys have it: `%g`, with more digits where that rounds.

    >>> time_name(20.0), time_name(101.8), time_name(12345.67), time_name(1234567.0)
    ('20', '101.8', '12345.67', '1234567')
    """
    short = f"{seconds:g}"
    return short if float(short) == seconds else repr(seconds).removesuffix(".0")
