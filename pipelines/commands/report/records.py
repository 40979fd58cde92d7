"""Rows of the small tables of a store, and how a page counts them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas import StoreManifest, TableName, UsageError, read_parquet
from schemas.messages import printable

Row = Mapping[str, Any]
NO_SPLIT = "(none)"
"""How the page calls the split of clips that have none, as `coverage.json` does."""
MOST_ROWS = 1000
"""Rows of a long table that a page shows."""


def read_rows(manifest: StoreManifest, table: TableName) -> list[Row]:
    """Return every row of a small table; `UsageError` when a part of it cannot be read."""
    rows: list[Row] = []
    for path in manifest.paths(table):
        try:
            rows += read_parquet(path).to_pylist()
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read ({printable(str(error))}); "
                f"`beam validate {manifest.root}` lists what is off"
            ) from None
    return rows


def split_of(clip: Row) -> str:
    """Return the name of a clip's split."""
    return clip["split"] or NO_SPLIT


def fates(manifest: StoreManifest) -> tuple[list[str], list[list[tuple[str, object]]]]:
    """Return the reasons that occur, and a row per split: clips, present, missing by reason."""
    splits: Mapping[str, Any] = manifest.coverage.get("splits", {})
    reasons = Counter[str]()
    for share in splits.values():
        reasons.update(share["missing"])
    order = [reason for reason, _ in reasons.most_common()]
    rows = []
    for split, share in splits.items():
        numbers = [share["clips"], share["present"], *(share["missing"].get(r, 0) for r in order)]
        percent = 100 * share["present"] / max(1, share["clips"])
        cells = [(split or NO_SPLIT, split), *((f"{n:,}", n) for n in numbers)]
        rows.append([*cells, (f"{percent:.1f}", percent)])
    return order, rows


def classes(manifest: StoreManifest) -> Iterator[list[tuple[str, object]]]:
    """Yield a row per class: its name, and clips present and asked for over all splits."""
    present, asked = Counter[str](), Counter[str]()
    for share in manifest.coverage.get("splits", {}).values():
        for label, counts in share.get("classes", {}).items():
            present[label] += counts["present"]
            asked[label] += counts["clips"]
    for label, count in sorted(asked.items(), key=lambda item: (-item[1], item[0])):
        percent = 100 * present[label] / max(1, count)
        yield [
            (label, label), (f"{present[label]:,}", present[label]), (f"{count:,}", count),
            (f"{percent:.1f}", percent),
        ]  # fmt: skip


def failure_rows(failures: Sequence[Row]) -> list[list[tuple[str, object]]]:
    """Return a row per failure, `MOST_ROWS` of them at most."""
    columns = ("clip_key", "reason", "step", "detail", "attempts", "at")
    return [
        [(str(row[name]), row[name]) for name in columns] for row in failures[:MOST_ROWS]
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a histogram."""

    height: float
    """Per cent of the highest bar."""
    text: str
    """Range and count."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How the values of one column are distributed."""

    title: str
    bars: tuple[Bar, ...]
    low: float
    high: float
    missing: int
    """Rows without a value."""


BINS = 30


def histogram(title: str, values: Sequence[float | None]) -> Histogram | None:
    """Return the distribution of a column; None where no row has a value."""
    import numpy as np

    known = np.array([value for value in values if value is not None], dtype=np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return None
    counts, edges = np.histogram(known, bins=BINS)
    bars = tuple(
        Bar(height=100 * count / counts.max(), text=f"{low:.4g} to {high:.4g}: {count:,}")
        for count, low, high in zip(counts.tolist(), edges[:-1], edges[1:], strict=True)
    )
    return Histogram(
        title=title, bars=bars, low=float(known.min()), high=float(known.max()),
        missing=len(values) - known.size,
    )  # fmt: skip
