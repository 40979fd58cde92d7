"""Splits of the clips: folds, held-out validation clips, splits that nothing can be learned from.

Letters: N clips, C classes.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from models.data.source import ClipSource
from schemas import UsageError
from schemas.manifest import subset_id

HELD_OUT_FROM = 5000
"""Training clips from which on some are held out for validation where a data set has no such."""
HELD_OUT_MOST, HELD_OUT_SHARE = 25_000, 0.05

BLOCK = 65_536
"""Clips whose labels are copied at once."""

Source = TypeVar("Source", bound=ClipSource)

logger = logging.getLogger(__name__)


def evaluated(data: ClipSource) -> list[str]:
    """Return the splits to report: all with clips but the training split, by name."""
    return [name for name in sorted(set(data.splits.tolist()) - {"train"}) if name]


def only(data: Source, keys: Collection[str]) -> Source:
    """Return the clips with a split for those that a subset names alone; others play no part.

    Whatever names the data by its subset names that of these clips. `UsageError` where the store
    has none of them.
    """
    named = np.array([key in keys for key in data.keys], bool)
    if not named.any():
        raise UsageError(
            f"{data.manifest.root} has none of the {len(keys):,} clips that --subset names"
        )
    held = subset_id(key for key, is_named in zip(data.keys, named, strict=True) if is_named)
    manifest = replace(data.manifest, data={**data.manifest.data, "subset_id": held})
    logger.info(
        "%d of the store's %d clips are in the subset, which names %d",
        named.sum(), len(named), len(keys),
    )  # fmt: skip
    return replace(data, manifest=manifest, splits=np.where(named, data.splits, ""))


def hold_out(data: Source, at_least: int = HELD_OUT_FROM) -> Source:
    """Make training clips validation clips where there are none: 5 %, at most 25,000.

    Fayek & Kumar 2020, section 4.1, sample about 25,000. The clips are those whose keys have the
    lowest hashes, so they are the same ones in every run. Sets of less than `at_least` stay as they
    are.
    """
    train = np.flatnonzero(data.splits == "train")
    if data.has("val") or len(train) < at_least:
        return data
    count = min(HELD_OUT_MOST, int(HELD_OUT_SHARE * len(train)))
    hashes = [hashlib.sha256(data.keys[row].encode()).digest() for row in train.tolist()]
    chosen = train[sorted(range(len(train)), key=hashes.__getitem__)[:count]]
    logger.info("%d training clips are held out for validation", count)
    return replace(data, splits=_with(data.splits, chosen, "val"))


def refuse_hopeless(data: ClipSource, split: str = "train") -> None:
    """Raise `UsageError` when a split shows one class only; warn of classes that it does not show.

    A classifier that has never seen anything else has nothing to tell apart.
    """
    blocks = data.rows(split).split(BLOCK)  # type: ignore[no-untyped-call]
    sums = [data.labels[rows].sum(dim=0) for rows in blocks]
    counts = torch.stack(sums).sum(dim=0).cpu().numpy()
    names = data.vocabulary.names
    shown = np.flatnonzero(counts)
    if len(shown) < 2:
        what = f"the class {names[shown[0]]!r} alone" if len(shown) else "no class at all"
        raise UsageError(
            f"split {split!r} of {data.manifest.root} shows {what}, so there is nothing to tell "
            "apart; it needs clips of two classes at least"
        )
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if missing:
        more = ", ..." if len(missing) > 5 else ""
        logger.warning(
            "%d of %d classes have no clip in split %r (%s%s): they are not learned",
            len(missing), len(names), split, ", ".join(missing[:5]), more,
        )  # fmt: skip


def folds(data: Source, count: int, seed: int = 0) -> Iterator[tuple[str, Source]]:
    """Yield the clips `count` times, each time with another part as `test` and the rest as `train`.

    The parts are the store's own splits when it has just so many; else the labelled clips are dealt
    out at random, every class evenly. `UsageError` when there are fewer clips than parts.
    """
    labelled = (data.labels.sum(dim=1) > 0).cpu().numpy()
    own = sorted({name for name in data.splits[labelled].tolist() if name})
    if len(own) == count:
        parts = data.splits
    elif labelled.sum() < count:
        raise UsageError(
            f"{data.manifest.root} has {labelled.sum()} labelled clips, too few for {count} folds"
        )
    else:
        parts = _deal_clips(data, labelled, count, seed)
        own = [str(part + 1) for part in range(count)]
    for name in own:
        splits = np.where(parts == name, "test", np.where(labelled, "train", ""))
        yield name, replace(data, splits=splits, dense_splits=frozenset())


def _deal_clips(
    data: ClipSource, labelled: NDArray[np.bool_], count: int, seed: int
) -> NDArray[np.str_]:
    """Return the part of each clip, [N]: the clips of each first label are dealt in turn."""
    random = torch.Generator().manual_seed(seed)
    first = (data.labels > 0).to(torch.uint8).argmax(dim=1).cpu().numpy()
    parts = np.full(len(first), "", "<U8")
    dealt = 0
    for label in np.unique(first[labelled]):
        rows = np.flatnonzero(labelled & (first == label))
        rows = rows[torch.randperm(len(rows), generator=random).numpy()]
        parts[rows] = (np.arange(dealt, dealt + len(rows)) % count + 1).astype(str)
        dealt += len(rows)
    return parts


def _with(splits: NDArray[np.str_], rows: NDArray[np.int64], name: str) -> NDArray[np.str_]:
    changed = splits.astype(f"<U{max(len(name), splits.dtype.itemsize // 4)}")
    changed[rows] = name
    return changed
