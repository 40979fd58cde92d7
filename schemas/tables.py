"""The Parquet tables of a feature store, column by column.

A feature column is a list of float32, null where the modality or the second is absent; the shape of
its rows stands in the field's metadata under `shape`. (Arrow's `fixed_shape_tensor` would say it in
the type, but Arrow cannot read a null row of it back from Parquet, https://github.com/apache/arrow
issue 35692, and Hugging Face `datasets` refuses the type.) `start_s` in `snippets` and `segments`
counts from the clip's start.
"""

import json
import math
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SCHEMA_VERSION = 1

TableName = Literal[
    "clips", "snippets", "segments", "components", "proposals", "failures", "events", "media"
]

TABLES: tuple[TableName, ...] = (
    "clips", "snippets", "segments", "components", "proposals", "failures", "events"
)  # fmt: skip
"""Tables of a feature store; a media store has `media` and `failures`."""


def tensor_shape(field: pa.Field) -> tuple[int, ...] | None:
    """Shape of one row of a feature column, None for any other column."""
    shape = (field.metadata or {}).get(b"shape")
    return tuple(json.loads(shape)) if shape else None


def tensor_array(
    values: NDArray[np.float32] | None, present: NDArray[np.bool_], field: pa.Field
) -> pa.Array:
    """Rows [R, *shape] as a feature column, null where not `present` or where there is nothing."""
    if values is None:
        return pa.nulls(len(present), field.type)
    size = math.prod(tensor_shape(field) or ())
    kept = np.ascontiguousarray(values.reshape(len(present), size)[present], dtype=np.float32)
    offsets = np.concatenate([[0], np.cumsum(present * size)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(kept.reshape(-1)), type=field.type, mask=pa.array(~present)
    )


def tensor_values(
    column: pa.ListArray, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A feature column as float32 [R, *shape], zero where absent, and presence bool [R].

    ValueError when a row has another number of values than `shape`.
    """
    present = column.is_valid().to_numpy(zero_copy_only=False)
    flat = column.flatten().to_numpy(zero_copy_only=False)
    if flat.size != present.sum() * math.prod(shape):
        raise ValueError(
            f"{present.sum()} rows hold {flat.size} values, which is not {list(shape)} for each"
        )
    values = np.zeros((len(column), *shape), dtype=np.float32)
    values[present] = flat.reshape(-1, *shape)
    return values, present


class _Tensor(tuple[int, ...]):
    """Marks a feature column among the types of a table."""


def _field(name: str, kind: "pa.DataType | _Tensor") -> pa.Field:
    if isinstance(kind, _Tensor):
        return pa.field(name, pa.list_(pa.float32()), metadata={"shape": json.dumps(kind)})
    return pa.field(name, kind)


def _fields(**types: "pa.DataType | _Tensor") -> list[pa.Field]:
    return [_field(name, kind) for name, kind in types.items()]


def table_schema(table: TableName, *, resnet152_frames: str = "mean") -> pa.Schema:
    """Arrow schema of one table; `resnet152_frames="keep"` stores the frames of a second apart."""
    resnet = _Tensor((8, 2048)) if resnet152_frames == "keep" else _Tensor((2048,))
    text, f64, f32, i32, flag = pa.string(), pa.float64(), pa.float32(), pa.int32(), pa.bool_()
    columns = {
        "clips": _fields(
            clip_key=text, video_id=text, start_s=f64, end_s=f64, split=text,
            labels=pa.list_(text), n_snippets=i32, has_audio=flag, has_video=flag, duration_s=f64,
            width=i32, height=i32, fps=f64, sample_rate=i32, audio_channels=i32,
            media_sha256=text, loudness_db=f64, silent_share=f64, still_share=f64,
        ),
        "snippets": _fields(
            clip_key=text, snippet_index=i32, start_s=f64, valid=flag, vggish=_Tensor((128,)),
            resnet152=resnet, r2plus1d=_Tensor((512,)), logmel=_Tensor((100, 64)),
        ),
        "segments": _fields(clip_key=text, segment_index=i32, start_s=f64, vggish=_Tensor((128,))),
        "components": _fields(
            clip_key=text, component_index=i32, w=pa.list_(f32), h=pa.list_(f32),
            vggish=_Tensor((128,)),
        ),
        "proposals": _fields(
            clip_key=text, snippet_index=i32, frame_index=i32, rank=i32, x0=f32, y0=f32, x1=f32,
            y1=f32, score=f32, feature=_Tensor((2048,)),
        ),
        "failures": _fields(
            clip_key=text, step=text, reason=text, detail=text, attempts=i32, retryable=flag,
            at=text,
        ),
        "events": _fields(clip_key=text, modality=text, onset_s=f64, offset_s=f64, label=text),
        "media": _fields(
            clip_key=text, video_id=text, start_s=f64, end_s=f64, real_start_s=f64,
            real_end_s=f64, duration_s=f64, shorter=flag, how=text, offset_s=f64, sha256=text,
            size=pa.int64(), source=text, format_id=text, video_codec=text, width=i32, height=i32,
            fps=f64, audio_codec=text, sample_rate=i32, audio_channels=i32, identity=text,
            yt_dlp=text, ffmpeg=text, fetched_at=text,
        ),
    }  # fmt: skip
    return pa.schema(columns[table], metadata={"earsight_schema_version": str(SCHEMA_VERSION)})
