"""Things in a media folder that are no plain files, and names that break careless programs."""

import os
import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.media.media_index import MediaIndex
from pipelines.store.files import list_tree
from schemas import Reason
from tests.faults.family import Family, Outcome
from tests.faults.media_samples import check, features, sample

FILES = 6
KINDS = (
    "file", "file", "file", "fifo", "socket", "folder", "link", "link outside", "link to device",
    "link to folder", "dangling link", "loop", "empty", "endless",
)  # fmt: skip
PIECES = (
    b"clip", b"caf\xe9", b"\xff\xfe", b"\n", b"\t", b"\x1b[2J", b"\r", b" ", b"'", b'"', b"$(id)",
    b"`id`", b";", b"|", b"&", b"-i", b"--", b"%d", b"%03d", b"[a-z]", b"*", b"?", b"{a,b}", b"\\",
    b"file:", b"concat:", b"http:", b"subfile,,start,0,end,9,,:", b":", b"#", b"@", b"~", b"..",
    b"\xe2\x80\xae", b"\xe3\x80\x80", b"$\\frac$", b"<b>", b"[red]", b"\xf0\x9f\x8e\xb5", b"CON",
    b"x" * 200,
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """Something in the media folder."""

    name: bytes
    kind: str


@dataclass(frozen=True)
class Case:
    """Entries of one media folder."""

    entries: tuple[Entry, ...]


def make(dice: random.Random) -> Case:
    """Draw entries of different names, without their endings too: of two files one is taken."""
    names: dict[bytes, bytes] = {}
    while len(names) < FILES:
        folder = b"in/" if dice.random() < 0.3 else b""
        name = b"".join(dice.choices(PIECES, k=dice.randrange(1, 5)))[:240]
        names[folder + name] = dice.choice((b".mp4", b".MP4", b".mkv"))
    files = sorted(name + ending for name, ending in names.items())
    return Case(tuple(Entry(name, dice.choice(KINDS)) for name in files))


def place(entry: Entry, media: Path, outside: Path) -> bool:
    """Put an entry into the media folder; whether it is one that gives rows."""
    path = Path(os.fsdecode(os.path.join(os.fsencode(media), entry.name)))
    match entry.kind:
        case "file":
            path.write_bytes(sample("mp4"))
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener, suppress(OSError):
                listener.bind(os.fsencode(path))  # a path that is too long for one stays away
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case _:
            path.symlink_to(_target(entry.kind, path, outside))
    return entry.kind in ("file", "link", "link outside")


def _target(kind: str, path: Path, outside: Path) -> Path:
    match kind:
        case "link" | "link outside":
            return outside / "film.mp4"
        case "link to device":
            return Path("/dev/zero")
        case "link to folder":
            return outside
        case "endless":
            return Path("/proc/self/mem")
        case "loop":
            return path
    return outside / "nothing"


def run(case: Case, folder: Path) -> Outcome:
    """List the folder and make features of all that is taken for media."""
    media, outside = folder / "media", folder / "outside"
    (media / "in").mkdir(parents=True)
    outside.mkdir()
    (outside / "film.mp4").write_bytes(sample("mp4"))
    good = sum(place(entry, media, outside) for entry in case.entries if not hidden(entry))
    index = MediaIndex(list_tree(str(media)), str(media))
    paths = {name: Path(index.uri(name)) for name in index.names()}
    for name in paths:
        name.encode()  # every clip has a name that tables can hold
    if not paths:
        return Outcome.FAILURE
    receipt = features(paths, folder)
    check(receipt, [*paths], folder)
    extra = [path for path in paths.values() if path.name == "film.mp4"]  # below a linked folder
    if len(receipt.done) != good + len(extra):
        return Outcome.WRONG_ROWS
    allowed = {Reason.UNSAFE_INPUT, Reason.NOT_FOUND, Reason.CORRUPT}
    right = all(failure.reason in allowed for failure in receipt.failed)
    return (Outcome.ROWS if receipt.done else Outcome.FAILURE) if right else Outcome.WRONG_ROWS


def hidden(entry: Entry) -> bool:
    """Whether a listing passes an entry over."""
    return entry.name.split(b"/")[-1].startswith(b".")


FAMILIES = (
    Family(
        "media_files", make, run, sample=2, weight=3, most=600, time_limit_s=120.0, memory_mb=8192
    ),
)
