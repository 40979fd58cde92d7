"""The Parquet tables of a feature store, column by column.

Feature columns are Arrow `fixed_shape_tensor`; they are null where the modality or the second is
absent. `start_s` in `snippets` and `segments` counts from the clip's start.
"""

from typing import Literal

import pyarrow as pa

SCHEMA_VERSION = 1

TableName = Literal[
    "clips", "snippets", "segments", "components", "proposals", "failures", "events"
]

TABLES: tuple[TableName, ...] = (
    "clips", "snippets", "segments", "components", "proposals", "failures", "events"
)  # fmt: skip


def tensor(*shape: int) -> pa.DataType:
    """Arrow type of a float32 array of fixed shape."""
    return pa.fixed_shape_tensor(pa.float32(), shape)


def _fields(**types: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind) for name, kind in types.items()]


def table_schema(table: TableName, *, resnet152_frames: str = "mean") -> pa.Schema:
    """Arrow schema of one table; `resnet152_frames="keep"` stores the frames of a second apart."""
    resnet = tensor(8, 2048) if resnet152_frames == "keep" else tensor(2048)
    text, f64, f32, i32, flag = pa.string(), pa.float64(), pa.float32(), pa.int32(), pa.bool_()
    columns = {
        "clips": _fields(
            clip_key=text, video_id=text, start_s=f64, end_s=f64, split=text,
            labels=pa.list_(text), n_snippets=i32, has_audio=flag, has_video=flag, duration_s=f64,
            width=i32, height=i32, fps=f64, sample_rate=i32, audio_channels=i32,
            media_sha256=text, loudness_db=f64, silent_share=f64, still_share=f64,
        ),
        "snippets": _fields(
            clip_key=text, snippet_index=i32, start_s=f64, valid=flag, vggish=tensor(128),
            resnet152=resnet, r2plus1d=tensor(512), logmel=tensor(100, 64),
        ),
        "segments": _fields(clip_key=text, segment_index=i32, start_s=f64, vggish=tensor(128)),
        "components": _fields(
            clip_key=text, component_index=i32, w=pa.list_(f32), h=pa.list_(f32),
            vggish=tensor(128),
        ),
        "proposals": _fields(
            clip_key=text, snippet_index=i32, frame_index=i32, rank=i32, x0=f32, y0=f32, x1=f32,
            y1=f32, score=f32, feature=tensor(2048),
        ),
        "failures": _fields(
            clip_key=text, step=text, reason=text, detail=text, attempts=i32, retryable=flag,
            at=text,
        ),
        "events": _fields(clip_key=text, modality=text, onset_s=f64, offset_s=f64, label=text),
    }  # fmt: skip
    return pa.schema(columns[table], metadata={"earsight_schema_version": str(SCHEMA_VERSION)})
