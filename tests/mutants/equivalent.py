"""Changes after which the code does the same: no test can notice them, and none is asked to."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Equivalent:
    """One such change: what a line of a file has before and after it, and why it is the same."""

    path: str
    line: str
    """The line, without the spaces around it."""
    before: str
    after: str
    reason: str


EQUIVALENT: Sequence[Equivalent] = ()
