"""A store is compared with its manifest and its receipts."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.store.audit import (
    count_unchecked,
    find_file_problems,
    find_state,
    read_receipts,
    without_unfinished_packs,
)
from pipelines.store.feature_store import FeatureStore
from pipelines.store.receipts import Receipt
from schemas import read_store_manifest
from tests.stores.edits import as_version_1
from tests.stores.units import add_units, pack_at_once


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three units of two short clips."""
    out = tmp_path_factory.mktemp("whole") / "store"
    add_units(out, units=3, clips=2, seconds=2, features=("vggish",))
    return out


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "store"))


def problems(out: Path) -> list[str]:
    receipts, unreadable = read_receipts(FeatureStore(str(out)))
    found = find_file_problems(FeatureStore(str(out)), read_store_manifest(out), receipts)
    return [*unreadable, *found]


def test_whole_store_has_no_problem_packed_or_not(store: Path) -> None:
    assert problems(store) == []
    assert count_unchecked(read_store_manifest(store), FeatureStore(str(store)).receipts()) == 0
    pack_at_once(store)
    assert problems(store) == []


def test_file_that_the_manifest_names_is_there_and_unchanged(store: Path) -> None:
    (store / "store.json").write_text("{}")
    assert problems(store) == ["store.json: its content was changed since it was written (sha256)"]
    (store / "store.json").unlink()
    assert problems(store) == ["store.json: named by manifest.json, but not there"]
    (store / "store.json").mkdir()
    (said,) = problems(store)
    assert said.startswith("store.json: cannot be read (")


def test_part_is_what_its_receipt_says(store: Path) -> None:
    path = sorted((store / "snippets").iterdir())[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert problems(store) == [
        f"snippets/{path.name}: its content was changed since it was written (sha256)"
    ]


def test_receipts_are_those_of_the_manifest(store: Path) -> None:
    paths = sorted((store / "receipts").iterdir())
    text = paths[0].read_text()
    paths[0].write_text("{")
    said, unfinished = problems(store)
    assert "is not readable as a receipt" in said
    assert unfinished.startswith("the receipts are not those that manifest.json was written from")
    receipts, _ = read_receipts(FeatureStore(str(store)))
    assert len(receipts) == 2
    paths[0].unlink()
    assert len(problems(store)) == 1
    paths[0].write_text(text)
    assert problems(store) == []


def test_state_is_that_from_before_a_pack_that_was_killed(store: Path) -> None:
    manifest = read_store_manifest(store)
    before = list(FeatureStore(str(store)).receipts())
    pack = replace(
        before[0], unit="pack-1", replaces=tuple(receipt.unit for receipt in before),
        parts={}, rows={}, sizes={}, sha256={},
    )  # fmt: skip
    found = find_state([pack, *before], manifest)
    assert found is not None
    assert list(found.receipts) == before
    assert find_state([pack, *before[1:]], manifest) is None
    assert find_state(before[1:], manifest) is None


def unit(name: str, *replaces: str) -> Receipt:
    return Receipt(name, (), (), {}, {}, 0, {}, {}, replaces)


def test_packs_count_from_the_first_member_that_is_gone() -> None:
    one, two = unit("unit-1"), unit("unit-2")
    unfinished, finished = unit("pack-1", "unit-1", "unit-2"), unit("pack-2", "unit-2", "unit-3")
    assert without_unfinished_packs([unfinished, finished, one, two]) == [finished, one, two]
    assert without_unfinished_packs([one]) == [one]


def test_parts_of_version_1_are_counted(store: Path) -> None:
    as_version_1(store)
    manifest = read_store_manifest(store)
    parts = sum(map(len, manifest.tables.values()))
    assert parts > 6
    assert count_unchecked(manifest, FeatureStore(str(store)).receipts()) == parts
    assert problems(store) == []
    path = sorted((store / "receipts").iterdir())[0]
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "parts": {}, "rows": {}}))
    assert any("the receipts are not those" in said for said in problems(store))
