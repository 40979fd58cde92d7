"""The page of a feature store."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.commands.report import cards, feature_health, stored_images
from pipelines.commands.report.records import (
    MOST_ROWS,
    Histogram,
    Row,
    classes,
    failure_rows,
    fates,
    histogram,
    read_rows,
    split_of,
)
from schemas import StoreManifest
from schemas.page import render

TEMPLATES = Path(__file__).parent / "templates"
_QUALITY = {
    "loudness_db": "loudness (dB)", "silent_share": "silent share", "still_share": "still share",
    "duration_s": "length (s)", "width": "width (pixels)",
}  # fmt: skip
"""Columns of `clips` that are drawn as distributions."""
_WORST = 5
"""Clips at the bad end of each column."""
_MOST_IS_BAD = frozenset({"silent_share", "still_share"})


def store_page(manifest: StoreManifest, media: str | None) -> str:
    """Return the page of a store as HTML; with the folder `media` its clips play.

    `UsageError` when a table cannot be read.
    """
    clips = read_rows(manifest, "clips")
    failures = read_rows(manifest, "failures")
    by_key = {clip["clip_key"]: clip for clip in clips}
    places = feature_health.clip_map(manifest, by_key)
    chosen = cards.choose(clips)
    shown = list(
        cards.make_cards(
            manifest, chosen, read_rows(manifest, "events"),
            {} if places is None else places.neighbours, media,
        )
    )  # fmt: skip
    reasons, fate_rows = fates(manifest)
    recipe = manifest.data["recipe"]
    return render(
        "store.html.j2", TEMPLATES,
        title=f"{manifest.dataset}: {len(clips):,} clips",
        facts=list(_head(manifest)),
        weights=recipe["weights"], random=str(recipe["weights"]).startswith("seeded"),
        reasons=reasons, fates=fate_rows,
        failures=failure_rows(failures), failed=len(failures), most_rows=MOST_ROWS,
        classes=list(classes(manifest)),
        histograms=list(_histograms(clips)), worst=list(_worst(clips)),
        health=feature_health.health(manifest), sampled=feature_health.MOST_SAMPLED, places=places,
        cards=shown, clips=len(clips), with_media=media is not None,
        splits=sorted({card.split for card in shown}),
        labels=sorted({label for card in shown for label in card.labels}),
        qualities=sorted({mark for card in shown for mark in card.quality}),
    )  # fmt: skip


def _head(manifest: StoreManifest) -> Iterator[tuple[str, str]]:
    recipe, counts = manifest.data["recipe"], manifest.data.get("counts", {})
    yield "data set", manifest.dataset
    yield "recipe", f"{recipe['name']} {recipe.get('hash', '')}"
    yield "precision", str(recipe.get("precision", "fp32"))
    yield "extractors", ", ".join(recipe.get("extractors", ()))
    asked, done = counts.get("clips_in", 0), counts.get("clips_done", 0)
    if images := stored_images.describe(manifest):
        yield "frames", images
    yield "coverage", f"{done:,} of {asked:,} clips ({100 * done / max(1, asked):.1f} %)"
    yield "classes", f"{len(manifest.vocabulary):,}"
    yield "subset", manifest.subset_id
    if date := manifest.coverage.get("date"):
        yield "counted at", str(date)


def _histograms(clips: Sequence[Row]) -> Iterator[Histogram]:
    for column, title in _QUALITY.items():
        if (drawn := histogram(title, [clip[column] for clip in clips])) is not None:
            yield drawn


def _worst(clips: Sequence[Row]) -> Iterator[list[tuple[str, object]]]:
    """Yield a row per clip at the bad end of a column: why, the clip, and its numbers."""
    for column, title in _QUALITY.items():
        known = [clip for clip in clips if clip[column] is not None]
        best = (min if column in _MOST_IS_BAD else max)((c[column] for c in known), default=None)
        known = [clip for clip in known if clip[column] != best]
        known.sort(key=lambda clip: clip[column], reverse=column in _MOST_IS_BAD)
        for clip in known[:_WORST]:
            numbers = [clip[name] for name in _QUALITY]
            yield [
                (f"{'most' if column in _MOST_IS_BAD else 'least'} {title}", title),
                (clip["clip_key"], clip["clip_key"]), (split_of(clip), split_of(clip)),
                *(("" if n is None else f"{n:.4g}", "" if n is None else n) for n in numbers),
            ]  # fmt: skip
