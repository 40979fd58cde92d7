"""Hostile folder trees of media, with and without a label file, for the data set `folder`."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from schemas.manifests import read_manifest, vocabulary
from tests.faults.family import Family, Outcome

PARTS = (
    "train", "Validation", "test", "dog", "001 - Dog bark", "a|b", ".hidden", "x" * 120, "\u202e",
    "\U0001f3b5", "caf\udce9", "a\tb", "a\nb", "\x1b[31m", " ", "a,b", "$x$", "labels.csv", "..a",
)  # fmt: skip
"""Names of folders and stems of files."""
ENDINGS = (".wav", ".MP4", ".ogg", ".txt", "", ".csv", ".wav.wav")
ROWS = ("dog/a.wav,Dog,train", "a.wav,Dog|Cat,", '"a,b.wav",,test', "../a.wav,Dog,", "x,,", "a", "")


OBEYED = frozenset("\t\n\r\x1b\u2028\u202e")
"""What no key may hold."""


@dataclass(frozen=True)
class Tree:
    """Paths of empty files, links to folders above, and rows of `labels.csv` if there is one."""

    paths: tuple[str, ...]
    links: tuple[str, ...]
    rows: tuple[str, ...] | None


def make(dice: random.Random) -> Tree:
    """Draw up to twelve files in up to four folders deep, and sometimes labels."""

    def path() -> str:
        parts = [dice.choice((*PARTS, "a")) for _ in range(dice.randrange(1, 5))]
        return "/".join(parts) + dice.choice(ENDINGS)

    paths = tuple(path() for _ in range(dice.randrange(0, 12)))
    links = tuple(path() for _ in range(dice.choice((0, 0, 1))))
    rows = tuple(dice.choice(ROWS) for _ in range(dice.randrange(0, 6)))
    return Tree(paths, links, rows if dice.random() < 0.5 else None)


def run(case: Tree, folder: Path) -> Outcome:
    """Read the folder: every media file is a clip once, its labels are classes."""
    for path in case.paths:
        put(folder / path, lambda place: place.touch())
    for path in case.links:
        put(folder / path, lambda place: place.symlink_to(folder))
    if case.rows is not None:
        text = "\n".join(["file,labels,split", *case.rows, ""])
        put(folder / "labels.csv", lambda place: place.write_text(text))
    clips = list(read_manifest("folder", folder))
    keys = [clip.key for clip in clips]
    "".join(keys).encode()  # no half of a surrogate pair
    classes = set(vocabulary("folder", folder).names)
    right = (
        len(set(keys)) == len(keys)
        and not any(OBEYED & {*key} for key in keys)
        and all(set(clip.labels) <= classes for clip in clips)
    )
    return Outcome.ROWS if right else Outcome.WRONG_ROWS


def put(path: Path, make_file: Callable[[Path], object]) -> None:
    """Make a file and the folders above it; what another file is in the way of is left out."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_file(path)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return


FAMILIES = (Family("folders", make, run, sample=40),)
