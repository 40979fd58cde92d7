"""A media file's bytes: only of a regular file, and no more of them than it has when opened.

A link counts as what it leads to. A FIFO, a device or a socket may block or never end.
"""

import hashlib
import os
import stat
from pathlib import Path

from schemas import KnownError, Reason

_BLOCK = 2**20
_KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder",
}  # fmt: skip


def check_regular(path: Path) -> int:
    """Return the size of a regular file in bytes.

    Raises `KnownError`: `not_found` when nothing is there, `unsafe_input` for what is no regular
    file.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise KnownError(Reason.NOT_FOUND, f"{path} was listed but is gone") from None
    except OSError as error:
        raise KnownError(
            Reason.CORRUPT, f"the file cannot be read: {error.strerror or error}"
        ) from None
    _check_kind(status.st_mode)
    return status.st_size


def sha256_of(path: Path) -> str:
    """Return the sha256 of a regular file as hexadecimal digits; raises as `check_regular`."""
    check_regular(path)
    digest = hashlib.sha256()
    try:
        # a file that was swapped for a FIFO must not block
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            _check_kind(status.st_mode)
            left = status.st_size
            while left and (block := file.read(min(_BLOCK, left))):
                digest.update(block)
                left -= len(block)
    except OSError as error:
        raise KnownError(
            Reason.CORRUPT, f"the file cannot be read: {error.strerror or error}"
        ) from None
    return digest.hexdigest()


def _check_kind(mode: int) -> None:
    kind = stat.S_IFMT(mode)
    if kind != stat.S_IFREG:
        name = _KINDS.get(kind, "no file")
        raise KnownError(Reason.UNSAFE_INPUT, f"it is {name}; only regular files are read")
