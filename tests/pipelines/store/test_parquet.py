"""How Parquet files are written: groups, compression, checksums."""

import hashlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.store.parquet import (
    IMAGE_GROUP_BYTES,
    HashedFile,
    failures_table,
    parquet_bytes,
    parquet_settings,
)
from schemas import Failure, Reason


def metadata(table: pa.Table) -> pq.FileMetaData:
    return pq.ParquetFile(io.BytesIO(parquet_bytes(table))).metadata


def group_rows(found: pq.FileMetaData) -> list[int]:
    return [found.row_group(index).num_rows for index in range(found.num_row_groups)]


def test_groups_have_4096_rows() -> None:
    table = pa.table({"snippet_index": np.arange(5000, dtype=np.int32)})
    assert group_rows(metadata(table)) == [4096, 904]
    assert pq.read_table(io.BytesIO(parquet_bytes(table))).equals(table)


def test_groups_of_images_have_few_megabytes_and_a_row_at_least() -> None:
    images = [b"\0" * (IMAGE_GROUP_BYTES // 4)] * 8
    rows = group_rows(metadata(pa.table({"image": pa.array(images, pa.binary())})))
    assert rows[0] in (3, 4)
    assert sum(rows) == 8
    large = [b"\0" * (IMAGE_GROUP_BYTES + 1)] * 2
    assert group_rows(metadata(pa.table({"image": pa.array(large, pa.binary())}))) == [1, 1]
    assert group_rows(metadata(pa.table({"image": pa.array([], pa.binary())}))) in ([], [0])
    small = [b"\0"] * 4100
    assert group_rows(metadata(pa.table({"image": pa.array(small, pa.binary())}))) == [4096, 4]


def test_text_has_a_dictionary_and_numbers_have_none() -> None:
    table = pa.table({"name": ["a", "b"], "labels": [["x"], ["y"]], "value": [0.5, 1.5]})
    group = metadata(table).row_group(0)
    columns = {group.column(index).path_in_schema: group.column(index) for index in range(3)}
    with_dictionary = {path for path, column in columns.items() if column.has_dictionary_page}
    assert "name" in with_dictionary
    assert "value" not in with_dictionary
    assert {column.compression for column in columns.values()} == {"ZSTD"}


def test_features_stored_as_bytes_are_not_compressed() -> None:
    schema = pa.schema(
        [("clip_key", pa.string()), ("labels", pa.list_(pa.string())), ("f", pa.binary(4))]
    )
    settings = parquet_settings(schema)
    assert settings["compression"] == {
        "clip_key": "zstd", "labels.list.element": "zstd", "f": "none"
    }  # fmt: skip
    assert settings["compression_level"] == {"clip_key": 1, "labels.list.element": 1}
    table = pa.table({"clip_key": ["a"], "labels": [["x"]], "f": [b"1234"]}, schema=schema)
    group = metadata(table).row_group(0)
    found = {
        group.column(index).path_in_schema: group.column(index).compression for index in range(3)
    }
    assert found == {"clip_key": "ZSTD", "labels.list.element": "ZSTD", "f": "UNCOMPRESSED"}


def test_page_that_was_changed_is_refused() -> None:
    data = parquet_bytes(pa.table({"f": pa.array([b"abcdefgh"] * 3, pa.binary(8))}))
    page = b"abcdefgh" * 3
    assert data.count(page) == 1
    spoiled = data.replace(page, page[:-1] + b"x")
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(io.BytesIO(spoiled), page_checksum_verification=True)


def test_hashed_file_counts_and_hashes_what_goes_through() -> None:
    target = io.BytesIO()
    file = HashedFile(target)
    assert file.writable()
    assert file.write(b"abc") == 3
    assert file.write(np.arange(2, dtype=np.int32)) == 8
    written = target.getvalue()
    assert (file.size, len(written)) == (11, 11)
    assert file.sha256 == hashlib.sha256(written).hexdigest()


def test_failures_are_sorted_by_clip_with_whether_they_pass() -> None:
    failures = [
        Failure("b", "fetch", Reason.NETWORK, "broke", 2, "2026-01-01"),
        Failure("a", "fetch", Reason.GONE, "deleted", 1, "2026-01-01"),
    ]
    rows = failures_table(failures).to_pylist()
    assert [(row["clip_key"], row["reason"], row["retryable"]) for row in rows] == [
        ("a", "gone", False), ("b", "network", True)
    ]  # fmt: skip
