"""Media that a lab has already: files in a folder, members of tar files, rows of Parquet files.

An index maps the stem of a file's name (`<video_id>_<start>_<end>` or `<video_id>`) to its
location, which travels as text:

    /data/a.mp4                      a file
    tar:/data/part0.tar#512,40960    40,960 bytes from byte 512 of a tar file
    parquet:/data/part0.parquet#3,7  row 7 of row group 3

Of two locations with one stem the first is taken: files before tar files before Parquet files, in
the order of their names.
"""

import functools
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.jobs.download.fetch.archives import copy_member, read_row
from pipelines.media.child_process import ChildDiedError, ChildProcess, ChildTimeoutError
from schemas import KnownError, Reason, UsageError
from schemas.media_names import MEDIA_SUFFIXES, clip_name
from schemas.messages import printable
from schemas.secrets import redact_address

_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_ARCHIVES = (".tar", ".parquet")
_LISTING_S = 1800.0
_MOST_MESSAGE = 500


def list_locations(source: Path) -> Iterator[tuple[str, str]]:
    """Yield stem and location of everything in a folder, or in one tar or Parquet file.

    Raises `UsageError` for a source that is not there, a packed tar file, an archive that cannot be
    listed, or a Parquet file without media.
    """
    if not source.exists():
        raise UsageError(
            f"--source {redact_address(str(source))} is not there; give a folder, a .tar or a "
            ".parquet file"
        )
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    archives: dict[str, list[Path]] = {suffix: [] for suffix in _ARCHIVES}
    for path in paths:
        name, suffix = path.name.lower(), path.suffix.lower()
        if name.startswith(".") or not path.is_file():
            continue
        if name.endswith(_PACKED):
            raise UsageError(
                f"{path} is packed, so its members cannot be read one by one; unpack it"
            )
        if suffix in MEDIA_SUFFIXES:
            yield clip_name(path.name), str(path.absolute())
        elif suffix in archives:
            archives[suffix].append(path.absolute())
    files = [path for suffix in _ARCHIVES for path in archives[suffix]]
    if files:
        stats = [path.stat() for path in files]
        yield from _list_archives(
            tuple(
                (str(path), stat.st_size, stat.st_mtime_ns)
                for path, stat in zip(files, stats, strict=True)
            )
        )


def list_members(tars: Sequence[Path]) -> Iterator[tuple[str, Path, int, int]]:
    """Yield name, tar file, first byte and size of every plain file in some tar files, in order.

    They are listed in a process of bounded memory. `UsageError` for one that cannot be listed.
    """
    for name, location in _run_listing([str(path.absolute()) for path in tars], every=True):
        _, path, (offset, size) = _parse(location)
        yield name, path, offset, size


@functools.lru_cache(maxsize=2)
def _list_archives(archives: tuple[tuple[str, int, int], ...]) -> list[tuple[str, str]]:
    """Return stem and location of the media in some archives (path, size, time of change)."""
    return list(_run_listing([path for path, _, _ in archives]))


def _run_listing(paths: Sequence[str], *, every: bool = False) -> Iterator[tuple[str, str]]:
    child = ChildProcess("pipelines.jobs.download.fetch.archives")
    with tempfile.NamedTemporaryFile(prefix="earsight-index-") as listing:
        request = {"paths": paths, "target": listing.name, "every": every}
        try:
            problem = json.loads(child.ask(json.dumps(request).encode(), _LISTING_S))
        except (ChildDiedError, ChildTimeoutError) as error:
            problem = f"the archives cannot be listed: the process that does it {error}"
        finally:
            child.close()
        if problem:
            raise UsageError(printable(problem, _MOST_MESSAGE))
        yield from map(json.loads, listing)


def extract_media(location: str, root: Path, target: Path, max_bytes: int) -> Path:
    """Return the media of a location as a file: itself when it is one, else a copy at `target`.

    Raises `KnownError`: `unsafe_input` for a location outside `root` (links are followed first),
    `not_found` when it is gone, `too_large` above `max_bytes`.
    """
    kind, path, (first, second) = _parse(location)
    if not path.resolve().is_relative_to(root.resolve()):
        raise KnownError(Reason.UNSAFE_INPUT, f"{path} lies outside of {root}")
    if not path.is_file():
        raise KnownError(Reason.NOT_FOUND, f"{path} was listed but is gone")
    if kind == "file":
        _check_size(path.stat().st_size, max_bytes)
        return path
    if kind == "tar":
        _check_size(second, max_bytes)
        copy_member(path, first, second, target)
    else:
        data = read_row(path, first, second)
        _check_size(len(data), max_bytes)
        target.write_bytes(data)
    return target


def _parse(location: str) -> tuple[str, Path, tuple[int, int]]:
    """Split a location into its kind, its file and two numbers."""
    for kind in ("tar", "parquet"):
        if location.startswith(f"{kind}:"):
            path, _, numbers = location.removeprefix(f"{kind}:").rpartition("#")
            first, _, second = numbers.partition(",")
            return kind, Path(path), (int(first), int(second))
    return "file", Path(location), (0, 0)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise KnownError(
            Reason.TOO_LARGE, f"the file has {size:,} bytes, {max_bytes:,} at most (--max-mb)"
        )
