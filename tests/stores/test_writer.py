"""Made-up stores are stores: the product finds nothing wrong with them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.commands.validate import find_problems
from schemas import read_store_manifest
from tests.stores.bags import write_bag_store
from tests.stores.compare import read_table
from tests.stores.parsing import COUNTS, ParsingRows
from tests.stores.tagging import SHAPES, write_tagging_store
from tests.stores.units import add_units, pack_at_once


def write_parsing(root: Path) -> None:
    """Write a store for models that parse."""
    ParsingRows().write(root)


def write_tagging(root: Path) -> None:
    """Write a store for models that tag."""
    write_tagging_store(root, features=tuple(SHAPES))


def write_units(root: Path) -> None:
    """Write a store of random rows, half of it packed."""
    add_units(root, units=3, boxes=2)
    pack_at_once(root)
    add_units(root, units=2, first=3, boxes=2)


@pytest.mark.parametrize("write", [write_parsing, write_tagging, write_bag_store, write_units])
def test_made_up_store_validates(write: Callable[[Path], object], tmp_path: Path) -> None:
    write(tmp_path)
    assert list(find_problems(read_store_manifest(tmp_path))) == []


def test_parts_hold_whole_clips_and_changes_replace_entries(tmp_path: Path) -> None:
    ParsingRows().write(tmp_path, parts=5, subset_id="elsewhere")
    manifest = read_store_manifest(tmp_path)
    assert manifest.subset_id == "elsewhere"
    assert [path.name for path in manifest.paths("clips")] == [
        f"part-{number:06d}.parquet" for number in range(5)
    ]
    assert read_table(tmp_path, "clips").num_rows == sum(COUNTS.values())
