"""The LLP authors' `.npy` files: the file of a clip, and its array, checked before it is read."""

import math
import os
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from schemas import FEATURES, KnownError, Reason

Array = NDArray[np.float32]

FOLDERS = {"vggish": "vggish", "resnet152": "res152", "r2plus1d": "r2plus1d_18"}
"""The authors' names of the three folders."""
SECONDS, FRAMES_PER_SECOND = 10, 8
SHAPES = {
    name: (SECONDS * (FRAMES_PER_SECOND if FEATURES[name].per_frame else 1), *FEATURES[name].shape)
    for name in FOLDERS
}
"""Shape of one clip's file of each feature."""
_STEM = 11
"""Characters of a clip's key that name its files."""
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_ZIP = b"PK"
_BAD_HEADER = (
    ValueError, TypeError, SyntaxError, RecursionError, MemoryError, EOFError, tokenize.TokenError
)  # fmt: skip
"""What numpy raises for headers that it cannot read."""


def stem_of(key: str) -> str:
    """Return the name of a clip's files without ending; `KnownError` for one that leads astray."""
    stem = key[:_STEM]
    if stem in ("", ".", "..") or any(sign in stem for sign in "/\\\0"):
        raise KnownError(Reason.UNSAFE_INPUT, f"{stem!r} is not the name of a file")
    return stem


def read_features(path: Path, shape: Sequence[int | None]) -> Array:
    """Read a clip's array as float32; None in `shape` stands for any length.

    Kind and shape are those of the header, and the file is as long as it says, before any number
    is read. `KnownError` for a file that is missing, damaged or of another kind or shape, or whose
    numbers float32 cannot hold.
    """
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise KnownError(Reason.NOT_FOUND, f"no {name}")
    try:
        with path.open("rb") as file:
            stored = read_array(file, os.fstat(file.fileno()).st_size, name, shape)
    except OSError as error:
        raise KnownError(Reason.CORRUPT, f"{name} cannot be read: {error.strerror}") from None
    with np.errstate(over="ignore", invalid="ignore"):
        array = stored.astype(np.float32, order="C")
    if not np.isfinite(array).all():
        raise KnownError(Reason.NOT_FINITE, f"{name} holds numbers that float32 cannot hold")
    return array


def read_array(
    file: BinaryIO, size: int, name: str, shape: Sequence[int | None]
) -> NDArray[np.generic]:
    """Read the array of a `.npy` file that is open at its start and has `size` bytes.

    Errors as for `read_features`, which names the file `name` in them.
    """
    found, fortran, kind = _read_header(file, name)
    _check_header(name, found, kind, shape)
    there, expected = size - file.tell(), math.prod(found) * kind.itemsize
    if there != expected:
        raise KnownError(
            Reason.CORRUPT, f"{name} has {there} bytes of data, its header says {expected}"
        )
    flat = np.frombuffer(file.read(expected), kind)
    return flat.reshape(found, order="F" if fortran else "C")


def _read_header(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Return shape, order and kind as the header says; `KnownError` for a damaged header."""
    if file.read(len(_ZIP)) == _ZIP:
        raise KnownError(Reason.FORMAT, f"{name} is an .npz archive; store each array as .npy")
    file.seek(0)
    try:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"its header is of version {version}")
        shape, fortran, kind = _HEADERS[version](file)
    except _BAD_HEADER as error:
        detail = (str(error).splitlines() or ["the header is damaged"])[0][:200]
        raise KnownError(Reason.CORRUPT, f"{name} is no .npy file: {detail}") from None
    return shape, fortran, kind


def _check_header(
    name: str, found: tuple[int, ...], kind: np.dtype[np.generic], shape: Sequence[int | None]
) -> None:
    if kind.kind not in "fiu":
        raise KnownError(Reason.FORMAT, f"{name} holds {kind}, should be real numbers")
    fits = len(found) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, found, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise KnownError(Reason.FORMAT, f"{name} is {list(found)}, should be [{wanted}]")
