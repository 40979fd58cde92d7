"""Published files, weights and annotation lists: what they must hash to, and the one download.

A file is pinned by its full sha256 or by the first digits that its publisher gives. Where nothing
is published (VGGish and its PCA, the edge model) the first use is trusted: the sha256 found then is
kept beside the file, in the form that `sha256sum -c` reads, and another content is refused later.
"""

import hashlib
import http.client
import logging
import os
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from schemas.failure import UsageError
from schemas.messages import printable

log = logging.getLogger(__name__)

TIMEOUT_S = 60.0
"""Seconds without an answer after which a download gives up."""
MOST_BYTES = 4 * 2**30
"""Bytes of a download at most; the largest published file has 1.7 GB."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One published file, or a folder published as an archive."""

    name: str
    """Its name in the folder that holds it."""
    address: str = ""
    """Where it is published; empty when it has to be put into the folder by hand."""
    sha256: str = ""
    """The sha256 or its published first digits; empty where none is published."""
    holds: tuple[str, ...] = ()
    """For a folder: the files in it that are hashed. Empty for a plain file."""

    @property
    def one_by_one(self) -> bool:
        """Whether a folder's files are published beside each other, not as an archive."""
        return bool(self.holds) and self.address.endswith("/")


def cache_folder() -> Path:
    """Return the platform's cache folder for this program (not created)."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "earsight"
    base = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(base) if base else home / ".cache") / "earsight"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(file: PublishedFile, folder: Path) -> dict[str, str]:
    """Return the sha256 of each file behind a published one that lies in `folder`.

    `UsageError` when it is incomplete, is not what is pinned, or is not what was first used here.
    """
    path = folder / file.name
    hashes = _hashes(file, path)
    _check_pinned(file, hashes, str(path))
    if not file.sha256:
        _check_first_use(file, hashes, path.with_name(f"{file.name}.sha256"))
    return hashes


def fetch(file: PublishedFile, folder: Path, otherwise: str = "") -> Path:
    """Download a file into `folder`, whole or not at all, and return its path.

    `UsageError`, one sentence with file, address and folder, when it cannot be had; `otherwise`
    says what could be done instead of putting the file there by hand.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cache folder {folder} cannot be made: {error.strerror}") from None
    by_hand = f"put the file into {folder} by hand{otherwise}"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch:
        fetched = Path(scratch) / "fetched"
        log.info("fetching %s from %s", file.name, file.address)
        if file.one_by_one:
            for name in file.holds:
                (fetched / name).parent.mkdir(parents=True, exist_ok=True)
                part = PublishedFile(f"{file.name}/{name}", file.address + name)
                _download(part, fetched / name, f"put it into {folder / file.name}{otherwise}")
        else:
            _download(file, fetched, by_hand)
        if file.holds and not file.one_by_one:
            fetched = _unpacked(file, fetched, Path(scratch) / "unpacked")
        _check_pinned(file, _hashes(file, fetched), file.address, by_hand)
        target = folder / file.name
        if not (file.holds and target.exists()):  # another process was faster
            fetched.replace(target)
    return target


def _download(file: PublishedFile, target: Path, by_hand: str) -> None:
    try:
        with (
            urllib.request.urlopen(file.address, timeout=TIMEOUT_S) as answer,
            target.open("wb") as sink,
        ):
            while block := answer.read(1 << 20):
                sink.write(block)
                if sink.tell() > MOST_BYTES:
                    raise UsageError(
                        f"{file.address} gave more than {MOST_BYTES:,} bytes for {file.name}; "
                        f"{by_hand}"
                    )
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UsageError(
            f"{file.name} is missing and could not be downloaded from {file.address} ({reason}); "
            f"{by_hand}"
        ) from None


def _unpacked(file: PublishedFile, archive: Path, target: Path) -> Path:
    try:
        with tarfile.open(archive) as opened:
            # Python 3.11.2, as Debian 12 has it, knows no filter: then names are checked here
            given = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            if not given and any(not _is_plain(member) for member in opened.getmembers()):
                raise tarfile.TarError("it holds links, devices or names outside of it")
            opened.extractall(target, **given)  # type: ignore[arg-type]
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(f"{file.address} gave no archive ({printable(str(error))})") from None
    return target


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Return whether a member is a file or a folder below the one that it is unpacked to."""
    name = PurePosixPath(member.name)
    return (member.isfile() or member.isdir()) and not name.is_absolute() and ".." not in name.parts


def _hashes(file: PublishedFile, path: Path) -> dict[str, str]:
    """Return the sha256 of each file behind `path`; `UsageError` when one is not there."""
    if not file.holds:
        return {file.name: sha256_of(path)}
    absent = [name for name in file.holds if not (path / name).is_file()]
    if absent:
        raise UsageError(
            f"{path} should hold {', '.join(file.holds)} but lacks {', '.join(absent)}; "
            f"unpack {file.address} there"
        )
    return {f"{file.name}/{name}": sha256_of(path / name) for name in file.holds}


def _check_pinned(
    file: PublishedFile, hashes: Mapping[str, str], where: str, advice: str = ""
) -> None:
    if file.holds or hashes[file.name].startswith(file.sha256):
        return
    expected = file.sha256 if len(file.sha256) == 64 else f"{file.sha256}..."
    raise UsageError(
        f"{where} has sha256 {hashes[file.name]}, expected {expected} of the published "
        f"{file.name}; {advice or f'delete it and fetch {file.address} again'}"
    )


def _check_first_use(file: PublishedFile, hashes: Mapping[str, str], record: Path) -> None:
    """Compare with what was hashes when the file was first used; keep it when this is the first."""
    text = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    try:
        known = record.read_text()
    except FileNotFoundError:
        _keep(file, text, record)
        return
    except (OSError, ValueError) as error:
        raise UsageError(f"{record} cannot be read ({error}); delete it") from None
    if known != text:
        raise UsageError(
            f"{file.name} in {record.parent} has sha256 {' '.join(hashes.values())}, but had "
            f"{' '.join(known.split()[::2])} when it was first used; if you trust the change, "
            f"delete {record}, else fetch {file.address} again"
        )


def _keep(file: PublishedFile, text: str, record: Path) -> None:
    partial = record.with_name(f".{record.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(record)
    except OSError as error:  # a folder that is only read: nothing is lost but the memory of it
        log.info("cannot keep the sha256 of %s in %s (%s)", file.name, record.parent, error)
        return
    log.info("%s: trusted on first use, its sha256 is kept in %s", file.name, record)
