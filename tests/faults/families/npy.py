"""Hostile `.npy` files: other kinds and shapes, lying headers, numbers that float32 cannot hold."""

import io
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.commands.npy_files import SHAPES, read_features, stem_of
from tests.faults.family import Family, Outcome

GOOD_KINDS = ("<f4", ">f4", "<f8", "<f2", "<i4", "|u1")
KINDS = (*GOOD_KINDS, "|b1", "<c8", "<U3", "|S4", "|V4", "<M8[s]", "<m8[s]", "O", "f4,f4")
LENGTHS = ((10, 128), (128, 10), (1280,), (10, 64), (1, 10, 128), (0, 128), ())
NUMBERS = (0.0, 1.5, -3e38, 1e39, 1e300, float("nan"), float("-inf"), 7e4, 1e-45)
SPLINTERS = (
    b"{", b"}", b"(", b"'descr'", b"'<f4'", b"None", b"True", b"-1", b"9" * 40, b"\x00", b"\xff",
    b"__import__('os')", b"[" * 300, b"lambda: 0", b"1e9", b",",
)  # fmt: skip
KEYS = ("BjCEufrlXm4_20_30", "../../../etc_0_1", "/etc/passwd", "a\x00b", "..", "", ".", "x" * 300)


@dataclass(frozen=True)
class Npy:
    """The bytes of a file, and the key of the clip that it should be of."""

    key: str
    data: bytes


def make(dice: random.Random) -> Npy:
    """Return a file of some kind and shape, perhaps with bytes changed."""
    good = dice.random() < 0.5
    kind = dice.choice(GOOD_KINDS if good else KINDS)
    shape = LENGTHS[0] if good else dice.choice(LENGTHS)
    with np.errstate(all="ignore"):
        try:
            array = np.full(shape, 2.0 if good else dice.choice(NUMBERS)).astype(kind)
        except (TypeError, ValueError):
            array = np.zeros(shape, kind)
    if dice.random() < 0.5:
        array = np.asfortranarray(array)
    buffer = io.BytesIO()
    if dice.random() < 0.05:
        np.savez(buffer, array)
    else:
        np.lib.format.write_array(buffer, array, dice.choice([(1, 0), (2, 0), (3, 0)]))
    data = buffer.getvalue()
    return Npy(dice.choice((KEYS[0], KEYS[0], dice.choice(KEYS))), spoiled(dice, data))


def spoiled(dice: random.Random, data: bytes) -> bytes:
    """Return the file with its header or its end changed, or as it is."""
    how = dice.randrange(5)
    place = dice.randrange(min(len(data), 128) + 1)
    if how == 0:
        return data[: dice.randrange(len(data) + 1)] + dice.randbytes(dice.randrange(9))
    if how == 1:
        return data[:place] + dice.choice(SPLINTERS) + data[place:]
    if how == 2:
        splinter = dice.choice(SPLINTERS)
        return data[:place] + splinter + data[place + len(splinter) :]
    if how == 3:
        flipped = bytearray(data)
        flipped[min(place, len(data) - 1)] ^= 1 << dice.randrange(8)
        return bytes(flipped)
    return data


def run(case: Npy, folder: Path) -> Outcome:
    """Read a clip's array; what comes back are the file's own numbers, finite and of the shape."""
    stem = stem_of(case.key)
    path = folder / "vggish" / f"{stem}.npy"
    path.parent.mkdir()
    path.write_bytes(case.data)
    array = read_features(path, SHAPES["vggish"])
    with np.errstate(all="ignore"):
        right = np.load(path, allow_pickle=False).astype(np.float32)
    same = array.dtype == np.float32 and array.shape == (10, 128) and np.array_equal(array, right)
    return Outcome.ROWS if same and np.isfinite(array).all() else Outcome.WRONG_ROWS


FAMILIES = (Family("npy", make, run, sample=60),)
