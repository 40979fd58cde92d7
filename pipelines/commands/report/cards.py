"""Cards of clips: labels, true events, log-mel, the best regions, and what the file shows."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.commands.report.clip_media import ClipMedia, media_index, read_clip
from pipelines.commands.report.records import Row, split_of
from pipelines.commands.report.stored_images import strips
from schemas import SNIPPETS, StoreManifest, TableName, tensor_shape, tensor_values
from schemas.features import BOX_EDGES
from schemas.page import data_uri

MOST_CARDS = 40
MOST_BYTES = 9_000_000
"""Characters of media in a page, so that it stays below 15 MB."""
REGIONS = 3
"""Best regions of a frame that are drawn."""
_SEED = 0
_SILENT, _STILL, _QUIET_DB = 0.5, 0.9, -50.0
"""Shares of a clip, and a loudness, from which a card says so."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A true event as a bar over the clip's time, in per cent."""

    label: str
    modality: str
    left: float
    width: float


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region as a box over a frame, in per cent."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Card:
    """One clip."""

    key: str
    split: str
    labels: tuple[str, ...]
    quality: tuple[str, ...]
    """What is unusual: `silent`, `still`, `quiet`, `no audio`, `no video`; or `plain`."""
    facts: tuple[tuple[str, str], ...]
    seconds: float
    events: tuple[Event, ...]
    logmel: str
    """PNG as an address; empty without log-mel."""
    media: ClipMedia
    regions: tuple[tuple[Region, ...], ...]
    """Regions of the frame nearest to each of `media.frames`; of the first frame without media."""
    neighbours: tuple[str, ...]


def choose(clips: Sequence[Row]) -> list[Row]:
    """Return at most `MOST_CARDS` clips: of every split and class first, then others, at random."""
    order = np.random.default_rng(_SEED).permutation(len(clips)).tolist()
    seen: set[str] = set()
    first: list[int] = []
    later: list[int] = []
    for place in order:
        names = {f"split {split_of(clips[place])}", *(clips[place]["labels"] or ())}
        (later if names <= seen else first).append(place)
        seen |= names
    return [clips[place] for place in sorted((first + later)[:MOST_CARDS])]


def quality_of(clip: Row) -> tuple[str, ...]:
    """Return what is unusual about a clip, `plain` when nothing is."""
    marks = {
        "no audio": not clip["has_audio"],
        "no video": not clip["has_video"],
        "silent": (clip["silent_share"] or 0.0) >= _SILENT,
        "quiet": clip["loudness_db"] is not None and clip["loudness_db"] < _QUIET_DB,
        "still": (clip["still_share"] or 0.0) >= _STILL,
    }
    return tuple(name for name, holds in marks.items() if holds) or ("plain",)


def make_cards(
    manifest: StoreManifest,
    clips: Sequence[Row],
    events: Iterable[Row],
    neighbours: Mapping[str, tuple[str, ...]],
    media: str | None,
) -> Iterator[Card]:
    """Yield a card per clip; once `MOST_BYTES` of media are in the page, cards go without."""
    keys = [clip["clip_key"] for clip in clips]
    logmel = _rows_of(manifest, SNIPPETS, keys, ("snippet_index", "logmel"))
    boxes = _rows_of(manifest, "proposals", keys, ("frame_index", "rank", *BOX_EDGES))
    spans: dict[str, list[Row]] = {}
    for event in events:
        spans.setdefault(event["clip_key"], []).append(event)
    index = None if media is None else media_index(media)
    stored = strips(manifest, keys) if index is None else {}
    left = MOST_BYTES
    for clip in clips:
        key = clip["clip_key"]
        if index is None:
            shown = ClipMedia(frames=tuple(filter(None, stored.get(key, ()))))
        else:
            shown = read_clip(index, clip)
        if shown.size() > left:
            shown = ClipMedia(trouble="left out: the page would be too large")
        left -= shown.size()
        seconds = clip["duration_s"] or float(clip["n_snippets"])
        yield Card(
            key=key, split=split_of(clip), labels=tuple(clip["labels"] or ()),
            quality=quality_of(clip), facts=tuple(_facts(clip)), seconds=seconds,
            events=tuple(_events(spans.get(key, ()), max(seconds, clip["n_snippets"]))),
            logmel=_logmel(logmel.get(key)), media=shown,
            regions=_regions(boxes.get(key), max(1, len(shown.frames))),
            neighbours=neighbours.get(key, ()),
        )  # fmt: skip


def _rows_of(
    manifest: StoreManifest, table: TableName, keys: Sequence[str], columns: Sequence[str]
) -> dict[str, Any]:
    """Return the rows of some clips as Arrow tables; nothing where a column is not stored."""
    import pyarrow as pa

    wanted = pa.array(keys, pa.string())
    found: dict[str, Any] = {}
    for path in manifest.paths(table):
        if not {*columns} <= {*pq.read_schema(path).names}:
            return {}
        held = pq.read_table(path, columns=["clip_key"])["clip_key"].unique().to_pylist()
        here = set(held) & set(keys)
        if not here:
            continue
        rows = pq.read_table(
            path, columns=["clip_key", *columns], filters=pc.field("clip_key").isin(wanted)
        )
        for key in here:
            found[key] = rows.filter(pc.equal(rows["clip_key"], key))
    return found


def _facts(clip: Row) -> Iterator[tuple[str, str]]:
    if clip["duration_s"] is not None:
        yield "length", f"{clip['duration_s']:.1f} s"
    if clip["width"]:
        rate = "" if clip["fps"] is None else f", {clip['fps']:.3g} frames/s"
        yield "video", f"{clip['width']}x{clip['height']}{rate}"
    if clip["sample_rate"]:
        yield "audio", f"{clip['sample_rate']:,} Hz, {clip['audio_channels']} channels"
    if clip["loudness_db"] is not None:
        yield "loudness", f"{clip['loudness_db']:.0f} dB"
    for name in ("silent", "still"):
        if clip[f"{name}_share"] is not None:
            yield name, f"{100 * clip[f'{name}_share']:.0f} %"


def _events(events: Iterable[Row], seconds: float) -> Iterator[Event]:
    for event in events:
        left = 100 * event["onset_s"] / seconds
        width = 100 * (event["offset_s"] - event["onset_s"]) / seconds
        yield Event(
            label=event["label"], modality=event["modality"], left=min(left, 100.0),
            width=max(0.5, min(width, 100.0 - left)),
        )  # fmt: skip


def _logmel(rows: Any) -> str:
    """Return the log-mel of a clip as a picture, low bands at the bottom."""
    if rows is None:
        return ""
    rows = rows.sort_by("snippet_index")
    shape = tensor_shape(rows.schema.field("logmel"))
    if shape is None or not rows.num_rows:
        return ""
    values, present = tensor_values(rows["logmel"].combine_chunks(), shape)
    if not present.any():
        return ""
    from matplotlib import colormaps
    from PIL import Image

    image = np.nan_to_num(values.reshape(-1, shape[-1]).T[::-1])
    low, high = np.percentile(image, [2, 99.5])
    scaled = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    coloured = (colormaps["cividis"](scaled)[:, :, :3] * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(coloured).resize((480, 64), Image.Resampling.BILINEAR).save(file, "PNG")
    return data_uri(file.getvalue(), "image/png")


def _regions(rows: Any, frames: int) -> tuple[tuple[Region, ...], ...]:
    """Return the best regions at `frames` times spread over the clip."""
    if rows is None or not rows.num_rows:
        return ()
    boxes = rows.select(["frame_index", "rank", *BOX_EDGES]).to_pylist()
    indices = sorted({box["frame_index"] for box in boxes})
    chosen = [indices[int((i + 0.5) * len(indices) / frames)] for i in range(frames)]
    return tuple(
        tuple(
            Region(
                left=100 * box["x0"], top=100 * box["y0"], width=100 * (box["x1"] - box["x0"]),
                height=100 * (box["y1"] - box["y0"]),
            )
            for box in boxes if box["frame_index"] == frame and box["rank"] < REGIONS
        )
        for frame in chosen
    )  # fmt: skip
