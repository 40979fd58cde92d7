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
    Clip,
    ClipMedia,
    Components,
    Proposals,
    Recipe,
    TableName,
    table_schema,
    tensor_array,
)

SEGMENT_S = 0.96
SEGMENT_HOP_S = 0.48

Array = NDArray[np.float32]


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


def clip_tables(found: Extracted, recipe: Recipe) -> dict[TableName, pa.Table]:
    """The rows of one clip, a table for each kind that the recipe's extractors fill."""
    tables: dict[TableName, pa.Table] = {
        "clips": _clips(found),
        "snippets": _snippets(found, recipe),
    }
    segments, proposals, components = (
        found.features.get(name) for name in ("segments", "proposals", "ncp")
    )
    if isinstance(segments, np.ndarray):
        tables["segments"] = _segments(found, segments)
    if isinstance(proposals, Proposals):
        tables["proposals"] = _proposals(found, proposals)
    if isinstance(components, Components):
        tables["components"] = _components(found, components)
    return tables


def _clips(found: Extracted) -> pa.Table:
    clip, media, probe, quality = found.clip, found.media, found.probe, found.quality
    height, width = media.frames[0].shape[:2] if media.frames is not None else (None, None)
    sound = probe.audio if media.sound is not None else None
    duration = probe.duration_s
    row = {
        "clip_key": clip.key,
        "video_id": clip.video_id,
        "start_s": clip.start_s,
        "end_s": clip.end_s if clip.n_snippets else clip.start_s + duration,
        "split": clip.split,
        "labels": list(clip.labels),
        "n_snippets": media.n_snippets,
        "has_audio": media.sound is not None,
        "has_video": media.frames is not None,
        "duration_s": duration,
        "width": width,
        "height": height,
        "fps": probe.video.rate if probe.video and media.frames is not None else None,
        "sample_rate": int(sound.rate) if sound and sound.rate else None,
        "audio_channels": sound.channels if sound else None,
        "media_sha256": found.media_sha256,
        "loudness_db": quality.loudness_db,
        "silent_share": quality.silent_share,
        "still_share": quality.still_share,
    }
    return pa.Table.from_pylist([row], schema=table_schema("clips"))


def _snippets(found: Extracted, recipe: Recipe) -> pa.Table:
    media = found.media
    schema = table_schema("snippets", resnet152_frames=recipe.resnet152_frames)
    seconds = np.arange(media.n_snippets, dtype=np.int32)
    valid = {
        "vggish": media.sound_valid,
        "resnet152": media.frames_valid,
        "r2plus1d": media.frames_valid,
        "logmel": media.sound_valid,
    }
    columns = [
        pa.array([found.clip.key] * media.n_snippets),
        pa.array(seconds),
        pa.array(seconds.astype(np.float64)),
        pa.array(media.sound_valid | media.frames_valid),
    ]
    for name, mask in valid.items():
        values = cast("Array | None", found.features.get(name))
        columns.append(tensor_array(values, mask, schema.field(name)))
    return pa.Table.from_arrays(columns, schema=schema)


def _segments(found: Extracted, vggish: Array) -> pa.Table:
    """Windows that lie wholly in the sound which the clip really has."""
    schema = table_schema("segments")
    starts = np.arange(len(vggish)) * SEGMENT_HOP_S
    heard = int(found.media.sound_valid.sum())
    kept = np.flatnonzero(starts + SEGMENT_S <= heard)
    columns = [
        pa.array([found.clip.key] * len(kept), pa.string()),
        pa.array(kept.astype(np.int32)),
        pa.array(starts[kept]),
        tensor_array(vggish[kept], np.ones(len(kept), bool), schema.field("vggish")),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _proposals(found: Extracted, proposals: Proposals) -> pa.Table:
    schema = table_schema("proposals")
    kept = np.flatnonzero(found.media.frames_valid[proposals.snippet_index])
    every = np.ones(len(kept), dtype=np.bool_)
    boxes = np.ascontiguousarray(proposals.boxes[kept].T)
    columns = [
        pa.array([found.clip.key] * len(kept), pa.string()),
        pa.array(proposals.snippet_index[kept]),
        pa.array(proposals.frame_index[kept]),
        pa.array(proposals.rank[kept]),
        *(pa.array(side) for side in boxes),
        pa.array(proposals.score[kept]),
        tensor_array(proposals.feature[kept], every, schema.field("feature")),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _components(found: Extracted, components: Components) -> pa.Table:
    schema = table_schema("components")
    n = len(components.w)
    columns = [
        pa.array([found.clip.key] * n, pa.string()),
        pa.array(np.arange(n, dtype=np.int32)),
        pa.array(list(components.w), pa.list_(pa.float32())),
        pa.array(list(components.h), pa.list_(pa.float32())),
        tensor_array(components.vggish, np.ones(n, bool), schema.field("vggish")),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def join_tables(clips: Sequence[Mapping[TableName, pa.Table]]) -> dict[TableName, pa.Table]:
    """The tables of several clips, one below the other; empty for no clips."""
    names = sorted({name for tables in clips for name in tables})
    return {
        name: pa.concat_tables([tables[name] for tables in clips if name in tables])
        for name in names
    }
