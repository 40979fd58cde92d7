"""Changes that went unnoticed once; each has a test now, which is named with it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One change of the text of a file."""

    name: str
    path: str
    before: str
    after: str
    tests: tuple[str, ...]


KNOWN: tuple[Known, ...] = ()
