"""Hostile media bytes: small valid files in every container, spoiled in many ways."""

import random
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.store.receipts import Receipt
from tests.faults.family import Family, Outcome
from tests.faults.media_samples import CLEAN, RECIPE, WORDS, check, features, sample

FILES = 8
"""Files of one case: they share the processes of one unit."""

FIELDS = (
    b"ftyp", b"mvhd", b"tkhd", b"mdhd", b"elst", b"stts", b"ctts", b"stsc", b"stsz", b"stco",
    b"stsd", b"avc1", b"mp4v", b"mp4a", b"esds", b"avcC", b"hdlr", b"dref", b"moof", b"trun",
    b"tfhd", b"mdat", b"moov", b"trak", b"RIFF", b"fmt ", b"data", b"avih", b"strh", b"strf",
    b"movi", b"idx1", b"COMM", b"SSND", b"fLaC", b"OggS", b"vorbis", b"OpusHead", b"OpusTags",
    b"GIF89a", b"NETSCAPE2.0", b"FLV", b"ID3", b"Xing", b"\x44\x89", b"\xb0", b"\xba", b"\xb5",
    b"\x9f", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"\x2a\xd7\xb1", b"\x47\x40", b"\xff\xf1",
)  # fmt: skip
"""Names of boxes, chunks and elements; behind them stand sizes, rates, durations, rotations."""
HOW = ("lie", "lie", "lie", "flip", "flip", "cut", "drop", "double", "zero", "splice")
EXTREMES = (
    bytes(4), b"\x00\x00\x00\x01", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f", b"\x01\x00\x00\x00", b"\x00\x00\x40\x00", b"\x40\x00\x40\x00", bytes(8),
    b"\xff" * 8, b"\x7f\xf0" + bytes(6), b"\x00\x01", b"\xff\xff",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One way to spoil a file; places are shares of its length."""

    how: str
    place: float
    length: float
    data: bytes
    field: bytes
    offset: int


@dataclass(frozen=True)
class Spoiled:
    """One file: the container it comes from, the ending it is given, what is done to it."""

    container: str
    ending: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Case:
    """Files of one unit, decoded by one of the two samplers."""

    clean: bool
    files: tuple[Spoiled, ...]


def make(dice: random.Random) -> Case:
    """Draw files and what is done to them."""
    return Case(dice.random() < 0.3, tuple(_spoiled(dice) for _ in range(FILES)))


def _spoiled(dice: random.Random) -> Spoiled:
    container = dice.choice([*WORDS])
    ending = container if dice.random() < 0.7 else dice.choice([*WORDS])
    return Spoiled(container, ending, tuple(_change(dice) for _ in range(dice.randrange(1, 5))))


def _change(dice: random.Random) -> Change:
    how = dice.choice(HOW)
    # half of the changes are made near the start, where the headers are
    place = dice.random() if dice.random() < 0.5 else dice.random() ** 4
    data = dice.choice(EXTREMES) if how == "lie" else dice.randbytes(dice.randrange(1, 9))
    field = dice.choice(FIELDS) if how == "lie" else dice.choice([*WORDS]).encode()
    return Change(how, place, dice.random() ** 3, data, field, dice.randrange(-4, 64))


def spoil(data: bytes, change: Change) -> bytes:
    """Return a file after one change."""
    start = int(change.place * len(data))
    stop = min(len(data), start + 1 + int(change.length * len(data)))
    match change.how:
        case "cut":
            return data[:start]
        case "drop":
            return data[:start] + data[stop:]
        case "double":
            return data[:stop] + data[start:]
        case "zero":
            return data[:start] + bytes(stop - start) + data[stop:]
        case "splice":
            other = sample(change.field.decode())
            return data[:start] + other[int(change.length * len(other)) :]
        case "lie":
            start = max(0, data.find(change.field, start) + len(change.field) + change.offset)
    return data[:start] + change.data + data[start + len(change.data) :]


def run(case: Case, folder: Path) -> Outcome:
    """Make features of the files; rows are as long as the files can be."""
    paths = {}
    for number, spoiled in enumerate(case.files):
        data = sample(spoiled.container)
        for change in spoiled.changes:
            data = spoil(data, change)
        paths[f"clip{number}"] = folder / f"clip{number}.{spoiled.ending}"
        paths[f"clip{number}"].write_bytes(data)
    receipt = features(paths, folder, CLEAN if case.clean else RECIPE)
    check(receipt, [*paths], folder)
    if not receipt.done:
        return Outcome.FAILURE
    return Outcome.ROWS if _sound_rows(receipt, folder) else Outcome.WRONG_ROWS


def _sound_rows(receipt: Receipt, folder: Path) -> bool:
    """Whether rows agree with each other: seconds counted once, one modality at least."""
    clips = pq.read_table(folder / "out" / receipt.parts["clips"]).to_pylist()
    snippets = pq.read_table(folder / "out" / receipt.parts["snippets"]).to_pylist()
    return all(
        clip["n_snippets"] == sum(row["clip_key"] == clip["clip_key"] for row in snippets)
        and (clip["has_audio"] or clip["has_video"])
        and any(row["valid"] for row in snippets if row["clip_key"] == clip["clip_key"])
        and 0.5 <= clip["duration_s"] <= 8 * 3600
        for clip in clips
    )


FAMILIES = (
    Family("media", make, run, sample=1, weight=3, most=1200, time_limit_s=400.0, memory_mb=8192),
)
