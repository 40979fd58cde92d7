"""How every Parquet file of a store is written."""

import io
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas import Failure, table_schema

_ROWS_PER_GROUP = 4096


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a table as Parquet: zstd, dictionaries for text only, groups of about 4,000 rows."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=_ROWS_PER_GROUP, **parquet_settings(table.schema))
    return buffer.getvalue()


def parquet_settings(schema: pa.Schema) -> dict[str, Any]:
    """Return the writer's settings for a table: zstd, dictionaries for text only."""
    text = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_list(field.type)
    ]
    return {"compression": "zstd", "compression_level": 1, "use_dictionary": text}


def failures_table(failures: Iterable[Failure]) -> pa.Table:
    """Return table `failures`, sorted by clip."""
    rows = [
        {**asdict(failure), "reason": str(failure.reason), "retryable": failure.retryable}
        for failure in sorted(failures, key=lambda failure: failure.clip_key)
    ]
    return pa.Table.from_pylist(rows, schema=table_schema("failures"))
