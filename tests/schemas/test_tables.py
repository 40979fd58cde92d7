"""Parquet files that may be damaged are read whole or refused with one line."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import read_parquet


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
