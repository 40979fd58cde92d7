"""One rendition of a video as a list of fragments, and which of them cover a clip.

A playlist says how long each fragment lasts. Fragments of one run share a clock and a
beginning (`init`); a discontinuity of the playlist starts another run.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas import KnownError, Reason

MOST_FRAGMENTS = 100_000
_LONGEST_S = 3600.0
_SOUND_BEHIND_S = 0.2
"""Sound is stored with frames that are decoded up to so much earlier than it is heard."""
_PER_SECOND, _SPARE = 10, 50
"""No clip needs more fragments than these for each of its seconds, and in addition."""
_ROUNDED_S, _WHOLE_S, _CLOCK_S = 0.002, 0.5, 1.0
"""How far a playlist's times may be off: for each fragment, for each that lasts whole seconds by
the playlist, and in all."""


class Resource(NamedTuple):
    """Bytes at an address: all of them, or `size` from `first` on."""

    address: str
    first: int = 0
    size: int | None = None


class Key(NamedTuple):
    """What a fragment is encrypted with: AES-128 in CBC mode."""

    address: str
    iv: bytes


@dataclass(frozen=True, slots=True)
class Fragment:
    """One fragment of a rendition."""

    resource: Resource
    start_s: float
    """Start in the video in seconds, as the playlist adds up."""
    length_s: float
    run: int = 0
    """Number of the run that it belongs to."""
    init: Resource | None = None
    """What its file begins with, where that is kept apart."""
    key: Key | None = None
    missing: bool = False
    """Whether the playlist says that the server does not have it."""

    @property
    def end_s(self) -> float:
        """Return the end in the video, in seconds."""
        return self.start_s + self.length_s


@dataclass(frozen=True)
class Rendition:
    """All fragments of a rendition in order, at least one."""

    fragments: tuple[Fragment, ...]

    @property
    def duration_s(self) -> float:
        """Return the length in seconds, as the playlist adds up."""
        return self.fragments[-1].end_s

    def covering(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Return the first and the last fragment of a section of the video.

        Raises `KnownError` `corrupt` for more fragments than a section can need.
        """
        last = len(self.fragments) - 1
        found = [
            number
            for number, fragment in enumerate(self.fragments)
            if fragment.end_s > start_s and fragment.start_s < end_s + _SOUND_BEHIND_S
        ] or [last]
        most = _PER_SECOND * (min(end_s, self.duration_s) - start_s) + _SPARE
        if len(found) > most:
            raise KnownError(
                Reason.CORRUPT, f"the playlist has {len(found):,} fragments for one clip"
            )
        return found[0], found[-1]

    def head(self, number: int) -> int:
        """Return the first fragment of the run that a fragment belongs to."""
        while number and self.fragments[number - 1].run == self.fragments[number].run:
            number -= 1
        return number

    def runs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield the runs of fragments `first` to `last`: the first and the last of each."""
        for _, group in itertools.groupby(
            range(first, last + 1), lambda number: self.fragments[number].run
        ):
            numbers = list(group)
            yield numbers[0], numbers[-1]

    def tolerance_s(self, number: int) -> float:
        """Return how far the clock of a fragment may differ from the playlist's, in seconds."""
        before = self.fragments[:number]
        whole = all(fragment.length_s.is_integer() for fragment in before)
        return _CLOCK_S + len(before) * (_WHOLE_S if whole else _ROUNDED_S)


def check_lengths(lengths: Sequence[float]) -> None:
    """Raise `KnownError` `corrupt` for a playlist without fragments, or with impossible ones."""
    if not lengths:
        raise KnownError(Reason.CORRUPT, "the playlist has no fragment")
    if len(lengths) > MOST_FRAGMENTS:
        raise KnownError(
            Reason.TOO_LARGE,
            f"the playlist has {len(lengths):,} fragments, {MOST_FRAGMENTS:,} at most",
        )
    for number, length in enumerate(lengths):
        if not (math.isfinite(length) and 0 <= length <= _LONGEST_S):
            raise KnownError(
                Reason.CORRUPT,
                f"fragment {number} of the playlist is said to last {length:g} s; possible are 0 "
                f"to {_LONGEST_S:g} s",
            )
    if not sum(lengths):
        raise KnownError(Reason.CORRUPT, "every fragment of the playlist is said to last 0 s")
