"""What every reader checks: files there, split known, no clip twice, events that cover time."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from schemas.clip import Clip
from schemas.events import Event
from schemas.failure import UsageError
from schemas.messages import listed, quoted, suggestion

log = logging.getLogger(__name__)

NAMED = 5
"""Keys that a warning names before it only counts."""


def require_split(dataset: str, split: str | None, allowed: Sequence[str]) -> None:
    """Raise `UsageError` with the known names unless `split` is None or one of them."""
    if split is not None and split not in allowed:
        raise UsageError(
            f"data set {dataset} has no split {quoted(split)}{suggestion(split, allowed)}"
        )


def require_files(dataset: str, folder: Path, names: Sequence[str], source: str) -> list[Path]:
    """Return the paths of the named files in `folder`; `UsageError` that lists the missing ones.

    `source` says where the files come from.
    """
    if not folder.is_dir():
        raise UsageError(
            f"annotation folder {folder} of data set {dataset} does not exist; "
            f"wanted there: {', '.join(names)} ({source})"
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise UsageError(
            f"annotation folder {folder} lacks {', '.join(missing)}; data set {dataset} wants "
            f"{', '.join(names)} there, under these names ({source})"
        )
    return [folder / name for name in names]


def merge_repeats(dataset: str, read: Callable[[], Iterator[Clip]]) -> Iterator[Clip]:
    """Yield the clips of `read()`, each key once; labels of repeats join the first, with a warning.

    Reads twice, so that a repeat is known before its first clip is yielded; only the keys of the
    first reading are held in memory. The first clip's split and place in the order stay.
    """
    seen: set[str] = set()
    repeats: dict[str, list[str]] = {}
    for clip in read():
        key = clip.key
        if key in seen:
            repeats.setdefault(key, []).extend(clip.labels)
        seen.add(key)
    del seen
    if not repeats:
        yield from read()
        return
    warn_of_repeats(dataset, list(repeats))
    pending = dict(repeats)
    for clip in read():
        if clip.key not in repeats:
            yield clip
        elif clip.key in pending:
            labels = tuple(dict.fromkeys([*clip.labels, *pending.pop(clip.key)]))
            yield replace(clip, labels=labels)


def warn_of_repeats(dataset: str, keys: Sequence[str]) -> None:
    """Warn that clips stand more than once, where there are such; some are named."""
    if keys:
        log.warning(
            "%s: %d clip(s) stand more than once in the annotations (%s); "
            "the labels of each are merged into its first line",
            dataset, len(keys), listed(keys, most=NAMED),
        )  # fmt: skip


def drop_empty(dataset: str, events: Iterable[Event]) -> Iterator[Event]:
    """Yield events with onset < offset; the others are counted in a warning at the end."""
    dropped = 0
    for event in events:
        if event.onset_s < event.offset_s:
            yield event
        else:
            dropped += 1
    if dropped:
        log.warning("%s: %d event(s) that cover no time are left out", dataset, dropped)
