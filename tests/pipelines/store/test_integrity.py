"""Parts are compared with their receipts: by size, by content, by rows where there is no hash."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.store.integrity import find_damaged_units, find_part_problems, sha256_of
from pipelines.store.parquet import parquet_bytes
from pipelines.store.receipts import Receipt

NAMES = ("clips", "events")
PATHS = {name: f"{name}/unit-1.parquet" for name in NAMES}


@pytest.fixture
def receipt(tmp_path: Path) -> Receipt:
    """A unit of two parts that lie under `tmp_path`."""
    parts = {
        name: parquet_bytes(pa.table({"clip_key": ["a", "b"][:count]}))
        for name, count in (("clips", 1), ("events", 2))
    }
    for name, data in parts.items():
        (tmp_path / name).mkdir()
        (tmp_path / PATHS[name]).write_bytes(data)
    return Receipt(
        "unit-1", ("a",), (), PATHS, {"clips": 1, "events": 2}, sum(map(len, parts.values())),
        {}, {}, sizes={name: len(data) for name, data in parts.items()},
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in parts.items()},
    )  # fmt: skip


def without_hashes(receipt: Receipt) -> Receipt:
    """The receipt as version 1 wrote it."""
    return replace(receipt, sizes={}, sha256={})


def problems(out: Path, receipt: Receipt, *, verify: bool) -> list[str]:
    sizes = {
        name: {path.name: path.stat().st_size for path in (out / name).iterdir()} for name in NAMES
    }
    return find_part_problems(str(out), receipt, sizes, verify=verify)


def test_whole_unit_has_no_problem(tmp_path: Path, receipt: Receipt) -> None:
    for one in (receipt, without_hashes(receipt)):
        for verify in (False, True):
            assert problems(tmp_path, one, verify=verify) == []
            assert find_damaged_units(str(tmp_path), [one], verify=verify) == {}


def test_part_that_is_missing_or_of_another_size_is_named(tmp_path: Path, receipt: Receipt) -> None:
    part = tmp_path / PATHS["events"]
    part.write_bytes(part.read_bytes() + b"x")
    held = receipt.sizes["events"]
    said = f"{PATHS['events']}: has {held + 1} bytes, its receipt says {held}"
    assert problems(tmp_path, receipt, verify=False) == [said]
    assert problems(tmp_path, receipt, verify=True) == [said]
    part.unlink()
    for one in (receipt, without_hashes(receipt)):
        assert problems(tmp_path, one, verify=False) == [
            f"{PATHS['events']}: named by its receipt, but not there"
        ]
    (tmp_path / PATHS["clips"]).unlink()
    damaged = find_damaged_units(str(tmp_path), [receipt], verify=False)
    assert damaged == {"unit-1": f"{PATHS['clips']}: named by its receipt, but not there"}


def test_content_is_compared_where_it_is_verified(tmp_path: Path, receipt: Receipt) -> None:
    part = tmp_path / PATHS["clips"]
    data = bytearray(part.read_bytes())
    data[20] ^= 1
    part.write_bytes(data)
    assert problems(tmp_path, receipt, verify=False) == []
    assert problems(tmp_path, receipt, verify=True) == [
        f"{PATHS['clips']}: its content was changed since it was written (sha256)"
    ]


def test_parts_without_hashes_are_read_where_their_sizes_differ(
    tmp_path: Path, receipt: Receipt
) -> None:
    old, part = without_hashes(receipt), tmp_path / PATHS["clips"]
    part.write_bytes(parquet_bytes(pa.table({"clip_key": ["a", "b", "c"]})))
    assert problems(tmp_path, old, verify=False) == [
        f"{PATHS['clips']}: has 3 rows, its receipt says 1"
    ]
    size = sum((tmp_path / path).stat().st_size for path in PATHS.values())
    assert problems(tmp_path, replace(old, size=size), verify=False) == []
    assert len(problems(tmp_path, replace(old, size=size), verify=True)) == 1
    part.write_bytes(b"no table")
    (said,) = problems(tmp_path, old, verify=False)
    assert said.startswith(f"{PATHS['clips']}: cannot be read (")
    assert "\n" not in said


def test_hash_of_a_file_of_many_blocks(tmp_path: Path) -> None:
    data = bytes(range(256)) * 2**12 + b"end"
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(str(tmp_path / "a")) == hashlib.sha256(data).hexdigest()
