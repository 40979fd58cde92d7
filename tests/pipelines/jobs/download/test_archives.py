"""Tar and Parquet files that lie about what they hold end in one sentence, and eat no memory."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.jobs.download.fetch.archives import (
    LISTING_MEMORY,
    copy_member,
    find_media_column,
    read_row,
)
from pipelines.jobs.download.fetch.local_sources import extract_media, list_locations
from schemas import KnownError, Reason, UsageError
from tests.pipelines.jobs.download.conftest import Download, write_clips


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    """Return one tar header with any size field."""
    block = bytearray(512)
    block[0:100] = name.encode().ljust(100, b"\0")
    block[100:124] = b"0000644\0" + b"0000000\0" + b"0000000\0"
    block[124:136] = size
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def octal(size: int) -> bytes:
    return f"{size:011o}\0".encode()


def base256(size: int) -> bytes:
    return (size & (1 << 96) - 1 | 1 << 95).to_bytes(12, "big")


def huge_header(path: Path) -> None:
    """A pax header of 6 GB in a file that is as long and holds nothing."""
    with path.open("wb") as file:
        file.write(header("x", octal(6 * 2**30), b"x"))
        file.truncate(6 * 2**30 + 2048)


def many_headers(path: Path) -> None:
    """20,000 pax headers, one for the next."""
    block = header("x", octal(20), b"x") + b"20 path=aaaaaaa.mp4\n".ljust(512, b"\0")
    path.write_bytes(block * 20_000 + header("a.mp4", octal(0)) + bytes(1024))


def backward(path: Path) -> None:
    """A member of negative size, so that the next one would be itself."""
    path.write_bytes(header("a.mp4", base256(-512)) * 4 + bytes(1024))


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 40)


def small_parquet_that_swells(path: Path) -> None:
    """A few hundred bytes that unpack to gigabytes of keys."""
    key, same = pa.array(["k" * 2**20]), pa.array([0] * 4000, pa.int32())
    keys = pa.DictionaryArray.from_arrays(same, key)  # the table takes no gigabytes here
    table = pa.table({"clip_key": keys, "media": pa.nulls(4000, pa.binary())})
    pq.write_table(table, path, compression="zstd", store_schema=False)


def cut_parquet(path: Path) -> None:
    table = pa.table({"clip_key": ["a", "b"], "media": [b"x" * 9000, b"y"]})
    pq.write_table(table, path)
    data = path.read_bytes()
    path.write_bytes(data[:20] + bytes(len(data) - 28) + data[-8:])


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "huge.tar": (huge_header, "more than 1,073,741,824 bytes of memory"),
    "many.tar": (many_headers, "cannot be read as a tar file"),
    "backward.tar": (backward, "cannot be read as a tar file"),
    "noise.tar": (noise, "cannot be read as a tar file"),
    "swells.parquet": (small_parquet_that_swells, "bytes of memory"),
    "cut.parquet": (cut_parquet, "cannot be read as a Parquet file"),
    "noise.parquet": (noise, "cannot be read as a Parquet file"),
}


@pytest.mark.parametrize("name", BAD)
def test_archives_that_lie_get_one_sentence(tmp_path: Path, name: str) -> None:
    make, said = BAD[name]
    path = tmp_path / name
    make(path)
    process = psutil.Process()
    before, others = process.memory_info().rss, process.children()
    with pytest.raises(UsageError, match=said) as caught:
        list(list_locations(path))
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600
    assert process.memory_info().rss - before < LISTING_MEMORY / 4
    assert process.children() == others


def test_sparse_members_are_no_media(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("b.mp4")
    info.size = 4
    with tarfile.open(path, "w") as archive:
        archive.addfile(info, io.BytesIO(b"data"))
    sparse = header("a.mp4", octal(0), b"S")
    path.write_bytes(sparse + path.read_bytes())
    assert [stem for stem, _ in list_locations(path)] == ["b"]


def test_member_that_claims_more_than_the_file_holds_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(header("a.mp4", octal(10**9)) + b"x" * 1000)
    with pytest.raises(UsageError, match="unexpected end of data"):
        list(list_locations(path))
    location = f"tar:{path}#512,{10**9}"  # as if the file had been cut off since it was listed
    with pytest.raises(KnownError) as caught:
        extract_media(location, tmp_path, tmp_path / "out", 2 * 10**9)
    assert caught.value.reason is Reason.CORRUPT
    with pytest.raises(KnownError) as caught:
        extract_media(location, tmp_path, tmp_path / "out", 10**6)
    assert caught.value.reason is Reason.TOO_LARGE
    with pytest.raises(KnownError) as caught:
        copy_member(path, 512, -5, tmp_path / "out")
    assert caught.value.reason is Reason.CORRUPT
    assert (tmp_path / "out").stat().st_size == 0


STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (STRUCT, True),
        (pa.struct({"bytes": pa.large_binary(), "path": pa.large_string()}), True),
        (pa.struct({"bytes": pa.string(), "path": pa.string()}), False),
        (pa.struct({"bytes": pa.int64(), "path": pa.string()}), False),
        (pa.struct({"bytes": pa.list_(pa.uint8()), "path": pa.string()}), False),
        (pa.struct({"bytes": pa.binary(), "path": pa.int32()}), False),
        (pa.binary(), False),  # and no key column
        (pa.string(), False),
    ],
)
def test_only_bytes_are_media(kind: pa.DataType, known: bool) -> None:
    assert (find_media_column(pa.schema({"video": kind})) is not None) is known


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.float64(), pa.binary()])
def test_only_text_and_numbers_are_keys(kind: pa.DataType) -> None:
    schema = pa.schema({"clip_key": kind, "id": pa.int64(), "video": pa.binary()})
    media = find_media_column(schema)
    assert media is not None
    assert media.key == "id"


def test_column_of_another_type_is_named(tmp_path: Path, download: Download) -> None:
    rows = [{"video": {"bytes": 5_000_000_000, "path": "one_0_3.mp4"}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    clips = write_clips(tmp_path / "clips", [("one", 0.0, 3.0)])
    done = download(clips, "--source", tmp_path / "a.parquet")
    assert done.returncode == 2
    assert "has no column of media" in done.stderr


def test_rows_that_are_damaged_or_gone_have_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"clip_key": ["a", "b"], "media": [b"x" * 9000, None]}), path)
    assert read_row(path, 0, 0) == b"x" * 9000
    for group, row, reason in ((0, 1, Reason.NOT_FOUND), (0, 9, Reason.NOT_FOUND)):
        with pytest.raises(KnownError) as caught:
            read_row(path, group, row)
        assert caught.value.reason is reason
    with pytest.raises(KnownError) as caught:
        read_row(path, 7, 0)
    assert caught.value.reason is Reason.CORRUPT
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    with pytest.raises(KnownError) as caught:
        read_row(path, 0, 0)
    assert caught.value.reason is Reason.CORRUPT
    pq.write_table(pa.table({"clip_key": ["a"]}), path)
    with pytest.raises(KnownError) as caught:
        read_row(path, 0, 0)
    assert caught.value.reason is Reason.CORRUPT


def test_names_in_archives_are_data(tmp_path: Path, download: Download) -> None:
    path = tmp_path / "a.tar"
    names = ("\x1b[2J.mp4", "a\nb.mp4", "..\udce9.mp4", "x" * 300 + ".mp4", "$(id).mp4")
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    done = download(tmp_path, "--dataset", "folder", "--source", path, "--annotations", tmp_path)
    assert "Traceback" not in done.stderr
    words = ["--dataset", "folder", "--source", path]
    done = download(tmp_path / "none", *words)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_listing_is_made_anew_when_an_archive_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for keys in (["a"], ["b", "c"]):
        pq.write_table(pa.table({"clip_key": keys, "media": [b"x"] * len(keys)}), path)
        assert [stem for stem, _ in list_locations(path)] == keys


def test_other_files_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / ".hidden.mp4").write_bytes(b"")
    (tmp_path / "a.mp4").write_bytes(b"")
    assert [stem for stem, _ in list_locations(tmp_path)] == ["a"]
