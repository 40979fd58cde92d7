"""The Parquet tables of a feature store, column by column.

A feature column is a list of float32, null where the modality or the second is absent; the shape of
its rows stands in the field's metadata under `shape`. (Arrow's `fixed_shape_tensor` would say it in
the type, but Arrow cannot read a null row of it back from Parquet, https://github.com/apache/arrow
issue 35692, and Hugging Face `datasets` refuses the type.) A recipe may store log-mel in half
precision: then a row is the bytes of its little-endian float16 values, because Arrow decodes a list
value by value and bytes at once. `start_s` in `snippets` and `segments`
counts from the clip's start.
"""

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.features import FEATURES, SNIPPETS, Feature, feature_tables
from schemas.labels import PSEUDO_LABELS
from schemas.messages import quoted
from schemas.recipe import RECIPES, Recipe

SCHEMA_VERSION = 1
PACKED = np.dtype("<f2")
"""Type of the numbers of a feature column that is stored as bytes."""

TableName = str
"""Name of a table; features may bring tables of their own (`schemas.features`)."""

TABLES: tuple[TableName, ...] = (
    "clips", SNIPPETS, *feature_tables(), "failures", "events", PSEUDO_LABELS
)  # fmt: skip
"""Tables of a feature store; a media store has `media` and `failures`."""


def tensor_shape(field: pa.Field) -> tuple[int, ...] | None:
    """Return the shape of one row of a feature column, None for any other column.

    ValueError when what the metadata hold is no shape.
    """
    text = (field.metadata or {}).get(b"shape")
    if not text:
        return None
    with suppress(ValueError):
        shape = json.loads(text)
        if isinstance(shape, list) and all(type(size) is int and size > 0 for size in shape):
            return tuple(shape)
    raise ValueError(
        f"the shape of column {quoted(field.name)} is {quoted(text)}, not whole numbers"
    )


def tensor_array(
    values: NDArray[Any] | None, present: NDArray[np.bool_], field: pa.Field
) -> pa.Array:
    """Return rows [R, *shape] as a feature column, null where not `present`.

    Without `values` every row is null. A field without a shape holds one value per row.
    """
    if values is None:
        return pa.nulls(len(present), field.type)
    shape = tensor_shape(field)
    if shape is None:
        return pa.array(values, field.type, mask=~present)
    size = math.prod(shape)
    if pa.types.is_fixed_size_binary(field.type):
        return _packed_array(values.reshape(len(present), size), present, field.type)
    number = pa.array([], field.type.value_type).to_numpy()  # what Arrow calls a dtype needs pandas
    kept = np.ascontiguousarray(values.reshape(len(present), size)[present], dtype=number.dtype)
    offsets = np.concatenate([[0], np.cumsum(present * size)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(kept.reshape(-1)), type=field.type, mask=pa.array(~present)
    )


def _packed_array(values: NDArray[Any], present: NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """Return rows [R, size] as the bytes of half-precision numbers, null where not `present`."""
    cells = np.where(present[:, None], values, 0).astype(PACKED)
    valid = pa.array(present).buffers()[1]
    return pa.Array.from_buffers(kind, len(present), [valid, pa.py_buffer(cells.tobytes())])


def tensor_values(
    column: pa.Array, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a feature column as float32 [R, *shape], zero where absent, and presence bool [R].

    ValueError when a row has another number of values than `shape`.
    """
    values, present = stored_values(column, shape)
    return values.astype(np.float32, copy=False), present


def stored_values(
    column: pa.Array, shape: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a feature column as `tensor_values` does, in the type in which it is stored.

    Without an absent row nothing is copied; the array is not to be written to.
    """
    present = column.is_valid().to_numpy(zero_copy_only=False)
    packed = pa.types.is_fixed_size_binary(column.type)
    if packed:
        width = column.type.byte_width // PACKED.itemsize
        count = (column.offset + len(column)) * width
        cells = np.frombuffer(column.buffers()[1] or b"", PACKED)[column.offset * width : count]
        held = len(column) * width
    else:
        cells = column.flatten().to_numpy(zero_copy_only=False)
        held = present.sum() * math.prod(shape)
        width = math.prod(shape)
    if cells.size != held or width != math.prod(shape):
        raise ValueError(
            f"{present.sum()} rows hold {cells.size} values, which is not {list(shape)} for each"
        )
    if present.all():
        return cells.reshape(len(column), *shape), present
    values = np.zeros((len(column), *shape), dtype=cells.dtype)
    rows = cells.reshape(-1, *shape)
    values[present] = rows[present] if packed else rows
    return values, present


def table_schema(table: TableName, recipe: Recipe = RECIPES["llp-eccv20"]) -> pa.Schema:
    """Return the Arrow schema of one table in a store of this recipe; KeyError for none."""
    own = {feature.table: feature.extractor for feature in FEATURES.values()}
    if table == SNIPPETS:
        columns = _record(clip_key=_TEXT, snippet_index=_I32, start_s=_F64, valid=_FLAG)
        columns += [_feature_field(feature) for feature in recipe.snippet_features()]
    elif table in own:
        feature = recipe.feature(own[table])
        grid = {f"{feature.unit}_index": _I32, "start_s": _F64}
        further = feature.columns if feature.hop_s is None else grid
        columns = [*_record(clip_key=_TEXT, **further), _feature_field(feature)]
        if feature.paired:
            columns.append(_feature_field(replace(feature, column=feature.paired)))
    else:
        columns = _RECORDS[table]
    return pa.schema(columns, metadata={"earsight_schema_version": str(SCHEMA_VERSION)})


def read_parquet(source: Any, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a Parquet file that may be damaged as a table; OSError when it is.

    `source` is a path or an open file. The checksums of its pages and the encoding of its text and
    of its column names are checked, so that nothing in the table fails later.
    """
    try:
        table = pq.read_table(
            source, columns=None if columns is None else [*columns], page_checksum_verification=True
        )
        table.schema.names.count("")  # decodes the names
        table.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise OSError(" ".join(str(error).split())) from error
    return table


def _feature_field(feature: Feature) -> pa.Field:
    if not feature.shape:
        return pa.field(feature.column, feature.dtype)
    shape = {"shape": json.dumps(feature.shape)}
    if pa.types.is_float16(feature.dtype):
        width = math.prod(feature.shape) * PACKED.itemsize
        return pa.field(feature.column, pa.binary(width), metadata={**shape, "dtype": "float16"})
    return pa.field(feature.column, pa.list_(feature.dtype), metadata=shape)


def _record(**types: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind) for name, kind in types.items()]


_TEXT, _F64, _I32, _FLAG = pa.string(), pa.float64(), pa.int32(), pa.bool_()

_RECORDS = {
    "clips": _record(
        clip_key=_TEXT, video_id=_TEXT, start_s=_F64, end_s=_F64, split=_TEXT,
        labels=pa.list_(_TEXT), n_snippets=_I32, has_audio=_FLAG, has_video=_FLAG,
        duration_s=_F64, width=_I32, height=_I32, fps=_F64, sample_rate=_I32, audio_channels=_I32,
        media_sha256=_TEXT, loudness_db=_F64, silent_share=_F64, still_share=_F64,
    ),
    "failures": _record(
        clip_key=_TEXT, step=_TEXT, reason=_TEXT, detail=_TEXT, attempts=_I32, retryable=_FLAG,
        at=_TEXT,
    ),
    "events": _record(clip_key=_TEXT, modality=_TEXT, onset_s=_F64, offset_s=_F64, label=_TEXT),
    PSEUDO_LABELS: _record(
        clip_key=_TEXT, snippet_index=_I32, modality=_TEXT, label=_TEXT, score=pa.float32()
    ),
    "media": _record(
        clip_key=_TEXT, video_id=_TEXT, start_s=_F64, end_s=_F64, real_start_s=_F64,
        real_end_s=_F64, duration_s=_F64, shorter=_FLAG, how=_TEXT, offset_s=_F64, sha256=_TEXT,
        size=pa.int64(), source=_TEXT, format_id=_TEXT, video_codec=_TEXT, width=_I32,
        height=_I32, fps=_F64, audio_codec=_TEXT, sample_rate=_I32, audio_channels=_I32,
        identity=_TEXT, yt_dlp=_TEXT, ffmpeg=_TEXT, fetched_at=_TEXT, fetched_bytes=pa.int64(),
        phash=_TEXT,
    ),
}  # fmt: skip
"""Columns of the tables without features."""
