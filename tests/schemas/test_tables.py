"""Parquet files that may be damaged are read whole or refused with one line."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import (
    RECIPES,
    TABLES,
    read_parquet,
    stored_values,
    table_schema,
    tensor_array,
    tensor_shape,
    tensor_values,
)

RECIPE = RECIPES["llp-eccv20"]
VALUES = np.arange(12, dtype=np.float32).reshape(4, 3) / 4
PRESENT = np.array([True, False, True, True])
LISTS = pa.field("x", pa.list_(pa.float32()), metadata={"shape": "[3]"})
PACKED = pa.field("x", pa.binary(6), metadata={"shape": "[3]"})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "part.parquet"
    table = pa.table({"clip_key": ["one", "other"], "value": [0.5, 1.5]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    return path


def spoil(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_sound_file_is_read_whole_or_by_columns(written: Path) -> None:
    assert read_parquet(written).to_pydict() == {"clip_key": ["one", "other"], "value": [0.5, 1.5]}
    assert read_parquet(written, ["value"]).column_names == ["value"]
    with written.open("rb") as file:
        assert read_parquet(file).num_rows == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"clip_key", b"cl\xe9p_key"),  # a name that is not UTF-8
        (b"other", b"othex"),  # a value: its page has a checksum
        (b"PAR1", b"PAR2"),
    ],
)
def test_damaged_file_is_refused_with_one_line(written: Path, old: bytes, new: bytes) -> None:
    spoil(written, old, new)
    with pytest.raises(OSError, match=r".") as refused:
        read_parquet(written)
    assert "\n" not in str(refused.value)


def test_text_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    text = pa.array([b"a\xe9"]).view(pa.string())
    pq.write_table(pa.table({"clip_key": text}), path)
    with pytest.raises(OSError, match="UTF8"):
        read_parquet(path)


@pytest.mark.parametrize("field", [LISTS, PACKED], ids=["lists", "packed"])
def test_rows_that_are_not_present_are_null_and_read_as_zero(field: pa.Field) -> None:
    column = tensor_array(VALUES, PRESENT, field)
    assert column.type == field.type
    assert column.is_valid().to_pylist() == PRESENT.tolist()
    values, present = tensor_values(column, (3,))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(present, PRESENT)
    np.testing.assert_array_equal(values, VALUES * PRESENT[:, None])
    for start, stop in ((1, 3), (2, 4), (3, 3)):
        values, present = tensor_values(column.slice(start, stop - start), (3,))
        np.testing.assert_array_equal(values, (VALUES * PRESENT[:, None])[start:stop])
        np.testing.assert_array_equal(present, PRESENT[start:stop])


@pytest.mark.parametrize(
    ("field", "dtype"), [(LISTS, np.float32), (PACKED, np.float16)], ids=["lists", "packed"]
)
def test_rows_that_are_all_present_are_not_copied(field: pa.Field, dtype: type) -> None:
    column = tensor_array(VALUES.reshape(4, 3, 1), np.ones(4, bool), field)
    values, present = stored_values(column, (3, 1))
    assert present.all()
    assert values.dtype == dtype
    assert values.shape == (4, 3, 1)
    assert not values.flags.writeable
    np.testing.assert_array_equal(values[..., 0], VALUES)
    assert tensor_values(column, (1, 3))[0].shape == (4, 1, 3)


@pytest.mark.parametrize("field", [LISTS, PACKED], ids=["lists", "packed"])
@pytest.mark.parametrize("shape", [(2,), (4,), (3, 2), (1, 1)])
def test_rows_of_another_shape_are_refused(field: pa.Field, shape: tuple[int, ...]) -> None:
    for present in (PRESENT, np.ones(4, bool)):
        column = tensor_array(VALUES, present, field)
        with pytest.raises(ValueError, match=rf"{present.sum()} rows hold .* which is not"):
            stored_values(column, shape)


def test_lists_of_unequal_lengths_are_refused() -> None:
    column = pa.array([[1.0, 2.0, 3.0], [4.0]], LISTS.type)
    with pytest.raises(ValueError, match=r"2 rows hold 4 values, which is not \[3\] for each"):
        stored_values(column, (3,))


def test_columns_without_values_or_without_shape() -> None:
    nulls = tensor_array(None, PRESENT, LISTS)
    assert (len(nulls), nulls.null_count, nulls.type) == (4, 4, LISTS.type)
    single = pa.field("n", pa.int32())
    assert tensor_array(np.arange(4), PRESENT, single).to_pylist() == [0, None, 2, 3]
    assert tensor_shape(single) is None
    assert tensor_shape(LISTS) == (3,)
    empty = tensor_array(VALUES[:0], PRESENT[:0], PACKED)
    assert tensor_values(empty, (3,))[0].shape == (0, 3)


@pytest.mark.parametrize("shape", ["[3, 0]", "[-1]", "[3.0]", "3", '["3"]', "[true]"])
def test_shape_that_is_none_is_refused(shape: str) -> None:
    with pytest.raises(ValueError, match=r"the shape of column 'x' is .*, not whole numbers"):
        tensor_shape(LISTS.with_metadata({"shape": shape}))


COLUMNS = {
    "clips": "clip_key video_id start_s end_s split labels n_snippets has_audio has_video "
    "duration_s width height fps sample_rate audio_channels media_sha256 loudness_db silent_share "
    "still_share",
    "snippets": "clip_key snippet_index start_s valid vggish resnet152 r2plus1d logmel",
    "segments": "clip_key segment_index start_s vggish",
    "proposals": "clip_key snippet_index frame_index rank x0 y0 x1 y1 score feature",
    "components": "clip_key component_index w h vggish",
    "frames": "clip_key snippet_index frame_index width height image",
    "failures": "clip_key step reason detail attempts retryable at",
    "events": "clip_key modality onset_s offset_s label",
    "pseudo_labels": "clip_key snippet_index modality label score",
}


def test_tables_and_their_columns_in_order() -> None:
    schemas = {table: table_schema(table) for table in TABLES}
    assert {table: " ".join(schema.names) for table, schema in schemas.items()} == COLUMNS
    assert all(s.metadata == {b"earsight_schema_version": b"1"} for s in schemas.values())
    with pytest.raises(KeyError):
        table_schema("none")


def test_types_of_columns() -> None:
    text, number, whole, flag = pa.string(), pa.float64(), pa.int32(), pa.bool_()
    floats = pa.list_(pa.float32())
    assert table_schema("snippets").types == [text, whole, number, flag, *4 * [floats]]
    assert table_schema("segments").types == [text, whole, number, floats]
    assert table_schema("events").types == [text, text, number, number, text]
    assert table_schema("failures").types == [*4 * [text], whole, flag, text]
    assert table_schema("clips").field("labels").type == pa.list_(text)
    assert table_schema("media").field("size").type == pa.int64()
    frames = table_schema("frames", RECIPE.with_(extractors=("frames",)))
    assert frames.types == [text, whole, whole, whole, whole, pa.binary()]


def test_half_precision_is_stored_as_bytes() -> None:
    field = table_schema("snippets", RECIPE.with_(logmel_type="float16")).field("logmel")
    assert field.type == pa.binary(100 * 64 * 2)
    assert field.metadata == {b"shape": b"[100, 64]", b"dtype": b"float16"}
    assert table_schema("snippets").field("logmel").metadata == {b"shape": b"[100, 64]"}
