"""The page of a media folder: what came, from where, how fast, what failed and why, over time."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from pipelines.commands.report.records import (
    MOST_ROWS,
    Histogram,
    Row,
    classes,
    failure_rows,
    fates,
    histogram,
    read_rows,
)
from pipelines.commands.report.store_page import TEMPLATES
from schemas import StoreManifest
from schemas.page import render

_DRAWN = {
    "duration_s": "length (s)", "size": "size (bytes)", "height": "height (pixels)",
    "fps": "frames/s", "sample_rate": "sample rate (Hz)",
}  # fmt: skip


LOST = frozenset({"gone", "private", "geo_blocked", "age_restricted"})
"""Reasons by which a data set decays: nobody gets these clips from the site any more, or here."""


def media_page(manifest: StoreManifest) -> str:
    """Return the page of a media folder as HTML; `UsageError` when a table cannot be read."""
    media = read_rows(manifest, "media")
    failures = read_rows(manifest, "failures")
    reasons, fate_rows = fates(manifest)
    return render(
        "media.html.j2", TEMPLATES,
        title=f"{manifest.dataset}: {len(media):,} clips downloaded",
        facts=list(_head(manifest, media)),
        reasons=reasons, fates=fate_rows, classes=list(classes(manifest)),
        sources=list(_sources(media)), hours=list(_hours(media, failures)),
        days=list(_days(media, failures)),
        histograms=list(_histograms(media)),
        failures=failure_rows(failures), failed=len(failures),
        media=list(_media_rows(media[:MOST_ROWS])), clips=len(media), most_rows=MOST_ROWS,
    )  # fmt: skip


def _head(manifest: StoreManifest, media: Sequence[Row]) -> Iterator[tuple[str, str]]:
    counts = manifest.data.get("counts", {})
    asked, done = counts.get("clips_in", 0), counts.get("clips_done", 0)
    size = sum(row["size"] or 0 for row in media)
    yield "data set", manifest.dataset
    yield "coverage", f"{done:,} of {asked:,} clips ({100 * done / max(1, asked):.1f} %)"
    yield "size", f"{size / 1e9:.2f} GB"
    for name in ("yt_dlp", "ffmpeg", "identity"):
        if versions := sorted({row[name] for row in media if row[name]}):
            yield name.replace("_", "-"), ", ".join(versions)
    yield "subset", manifest.subset_id
    times = sorted(row["fetched_at"] for row in media if row["fetched_at"])
    if times:
        yield "fetched", f"{times[0]} to {times[-1]}"


def _sources(media: Sequence[Row]) -> Iterator[list[tuple[str, object]]]:
    """Yield a row per host and way of cutting: clips and bytes."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in media:
        host = urlsplit(row["source"] or "").hostname or "a folder or an archive"
        groups[host, row["how"] or ""].append(row)
    for (host, how), rows in sorted(groups.items(), key=lambda item: -len(item[1])):
        size = sum(row["size"] or 0 for row in rows) / 1e6
        yield [
            (host, host), (how, how), (f"{len(rows):,}", len(rows)), (f"{size:.1f}", size),
            (f"{size / len(rows):.3f}", size / len(rows)),
        ]  # fmt: skip


def _hours(media: Sequence[Row], failures: Sequence[Row]) -> Iterator[list[tuple[str, object]]]:
    """Yield a row per hour in which something ended: clips that came, and failures by reason."""
    came = Counter(row["fetched_at"][:13] for row in media if row["fetched_at"])
    failed: dict[str, Counter[str]] = defaultdict(Counter)
    for row in failures:
        failed[(row["at"] or "")[:13]][row["reason"]] += 1
    for hour in sorted({*came, *failed}):
        why = ", ".join(f"{reason} {count}" for reason, count in failed[hour].most_common())
        total = failed[hour].total()
        yield [
            (f"{hour.replace('T', ' ')}:00" if hour else "unknown", hour),
            (f"{came[hour]:,}", came[hour]), (f"{total:,}", total), (why, why),
        ]  # fmt: skip


def _days(media: Sequence[Row], failures: Sequence[Row]) -> Iterator[list[tuple[str, object]]]:
    """Yield a row per day: how many clips came, and which are lost for good, so far and why."""
    came = Counter(row["fetched_at"][:10] for row in media if row["fetched_at"])
    lost: dict[str, Counter[str]] = defaultdict(Counter)
    for row in failures:
        if row["reason"] in LOST:
            lost[(row["at"] or "")[:10]][row["reason"]] += 1
    ended = gone = 0
    for day in sorted({*came, *lost}):
        total = lost[day].total()
        ended, gone = ended + came[day] + total, gone + total
        why = ", ".join(f"{reason} {count}" for reason, count in lost[day].most_common())
        yield [
            (day or "unknown", day), (f"{came[day]:,}", came[day]), (f"{total:,}", total),
            (f"{100 * gone / ended:.1f}", gone / ended), (why, why),
        ]  # fmt: skip


def _histograms(media: Sequence[Row]) -> Iterator[Histogram]:
    for column, title in _DRAWN.items():
        if (drawn := histogram(title, [row[column] for row in media])) is not None:
            yield drawn


def _media_rows(media: Sequence[Row]) -> Iterator[list[tuple[str, object]]]:
    columns = ("clip_key", "how", "duration_s", "height", "size", "source", "fetched_at")
    for row in media:
        yield [("" if row[name] is None else str(row[name]), row[name] or "") for name in columns]
