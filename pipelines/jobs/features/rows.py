"""One clip's rows: Arrow tables made from its media, its measurements and its features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from extractors.base import Features
from pipelines.media.probe import Probe
from pipelines.media.quality import Quality
from schemas import (
    SNIPPETS,
    Clip,
    ClipMedia,
    Feature,
    Recipe,
    TableName,
    table_schema,
    tensor_array,
    tensor_shape,
)
from schemas.events import Modality
from schemas.media import ColumnValues

Array = NDArray[np.float32]
Rows = NDArray[np.intp]
Seconds = NDArray[np.bool_]
"""[T] True where the second has the modality."""
Valid = Mapping[Modality, Seconds]


@dataclass(frozen=True, eq=False)
class Extracted:
    """Everything that is known of one clip after extraction."""

    clip: Clip
    media: ClipMedia
    probe: Probe
    quality: Quality
    media_sha256: str
    features: Mapping[str, Features | None]
    """What each extractor gave, by its name; None for a missing modality."""


def clip_tables(extracted: Extracted, recipe: Recipe) -> dict[TableName, pa.Table]:
    """Return the rows of one clip, a table for each kind that the recipe's extractors fill."""
    media = extracted.media
    valid: Valid = {"audio": media.audio_valid, "visual": media.frames_valid}
    tables: dict[TableName, pa.Table] = {
        "clips": _clips(extracted),
        SNIPPETS: snippet_rows(extracted.clip.key, extracted.features, valid, recipe),
    }
    for name, values in extracted.features.items():
        feature = recipe.feature(name)
        if values is not None and feature.table != SNIPPETS:
            schema = table_schema(feature.table, recipe)
            columns, kept = _own_rows(values, feature, valid[feature.modality])
            tables[feature.table] = _table(extracted.clip.key, columns, kept, schema)
    return tables


def snippet_rows(
    clip_key: str, features: Mapping[str, Features | None], valid: Valid, recipe: Recipe
) -> pa.Table:
    """Return the rows of `snippets` of one clip, from its extractors' values by name.

    Values are null in seconds that are not `valid` in the feature's modality.
    """
    schema = table_schema(SNIPPETS, recipe)
    seconds = np.arange(len(valid["audio"]), dtype=np.int32)
    columns = [
        pa.array([clip_key] * len(seconds)),
        pa.array(seconds),
        pa.array(seconds.astype(np.float64)),
        pa.array(valid["audio"] | valid["visual"]),
    ]
    for feature in recipe.snippet_features():
        values = cast("Array | None", features.get(feature.extractor))
        field = schema.field(feature.column)
        columns.append(tensor_array(values, valid[feature.modality], field))
    return pa.Table.from_arrays(columns, schema=schema)


def _own_rows(
    values: Features, feature: Feature, valid: Seconds
) -> tuple[Mapping[str, ColumnValues], Rows]:
    """Return the columns of a feature's own table, and which rows lie in `valid` seconds [T]."""
    if not isinstance(values, np.ndarray):
        columns = values.columns()
        every = np.arange(len(columns[feature.column]))
        second = columns.get("snippet_index")
        return columns, every if second is None else np.flatnonzero(valid[np.asarray(second)])
    if feature.hop_s is None:
        raise TypeError(f"extractor {feature.extractor} gave an array; its rows need columns()")
    every = np.arange(len(values))
    start = every * feature.hop_s
    index = every.astype(np.int32)
    columns = {f"{feature.unit}_index": index, "start_s": start, feature.column: values}
    return columns, np.flatnonzero(start + feature.window_s <= int(valid.sum()))


def _table(
    clip_key: str, columns: Mapping[str, ColumnValues], kept: Rows, schema: pa.Schema
) -> pa.Table:
    arrays = [pa.array([clip_key] * len(kept), pa.string())]
    for field in schema:
        if field.name == "clip_key":
            continue
        values = columns[field.name]
        if tensor_shape(field) is None:
            arrays.append(pa.array([values[row] for row in kept], field.type))
        else:
            present = np.ones(len(kept), dtype=np.bool_)
            arrays.append(tensor_array(np.asarray(values)[kept], present, field))
    return pa.Table.from_arrays(arrays, schema=schema)


def _clips(extracted: Extracted) -> pa.Table:
    clip, media = extracted.clip, extracted.media
    probe, quality = extracted.probe, extracted.quality
    height, width = media.frames[0].shape[:2] if media.frames is not None else (None, None)
    audio = probe.audio if media.waveform is not None else None
    duration = probe.duration_s
    row = {
        "clip_key": clip.key,
        "video_id": clip.video_id,
        "start_s": clip.start_s,
        "end_s": clip.end_s if clip.n_snippets else clip.start_s + duration,
        "split": clip.split,
        "labels": list(clip.labels),
        "n_snippets": media.n_snippets,
        "has_audio": media.waveform is not None,
        "has_video": media.frames is not None,
        "duration_s": duration,
        "width": width,
        "height": height,
        "fps": probe.video.rate if probe.video and media.frames is not None else None,
        "sample_rate": int(audio.rate) if audio and audio.rate else None,
        "audio_channels": audio.channels if audio else None,
        "media_sha256": extracted.media_sha256,
        "loudness_db": quality.loudness_db,
        "silent_share": quality.silent_share,
        "still_share": quality.still_share,
    }
    return pa.Table.from_pylist([row], schema=table_schema("clips"))


def join_tables(clips: Sequence[Mapping[TableName, pa.Table]]) -> dict[TableName, pa.Table]:
    """Join the tables of several clips, one below the other; empty for no clips."""
    names = sorted({name for tables in clips for name in tables})
    return {
        name: pa.concat_tables([tables[name] for tables in clips if name in tables])
        for name in names
    }
