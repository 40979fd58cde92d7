"""The Parquet tables of a feature store, column by column.

A feature column is a list of float32, null where the modality or the second is absent; the shape of
its rows stands in the field's metadata under `shape`. (Arrow's `fixed_shape_tensor` would say it in
the type, but Arrow cannot read a null row of it back from Parquet, https://github.com/apache/arrow
issue 35692, and Hugging Face `datasets` refuses the type.) `start_s` in `snippets` and `segments`
counts from the clip's start.
"""

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.features import FEATURES, SNIPPETS, Feature, feature_tables
from schemas.messages import quoted
from schemas.recipe import RECIPES, Recipe

SCHEMA_VERSION = 1

TableName = str
"""Name of a table; features may bring tables of their own (`schemas.features`)."""

TABLES: tuple[TableName, ...] = ("clips", SNIPPETS, *feature_tables(), "failures", "events")
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
    number = pa.array([], field.type.value_type).to_numpy()  # what Arrow calls a dtype needs pandas
    kept = np.ascontiguousarray(values.reshape(len(present), size)[present], dtype=number.dtype)
    offsets = np.concatenate([[0], np.cumsum(present * size)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(kept.reshape(-1)), type=field.type, mask=pa.array(~present)
    )


def tensor_values(
    column: pa.ListArray, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a feature column as float32 [R, *shape], zero where absent, and presence bool [R].

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
    "media": _record(
        clip_key=_TEXT, video_id=_TEXT, start_s=_F64, end_s=_F64, real_start_s=_F64,
        real_end_s=_F64, duration_s=_F64, shorter=_FLAG, how=_TEXT, offset_s=_F64, sha256=_TEXT,
        size=pa.int64(), source=_TEXT, format_id=_TEXT, video_codec=_TEXT, width=_I32,
        height=_I32, fps=_F64, audio_codec=_TEXT, sample_rate=_I32, audio_channels=_I32,
        identity=_TEXT, yt_dlp=_TEXT, ffmpeg=_TEXT, fetched_at=_TEXT,
    ),
}  # fmt: skip
"""Columns of the tables without features."""
