"""A pack that is killed, wherever it stands: readers find a whole store, the next pack ends it."""

import shutil
from pathlib import Path

import pytest

from pipelines.store.feature_store import FeatureStore
from schemas import TableName, read_store_manifest
from tests.killed import count_equal
from tests.pipelines.conftest import Beam
from tests.pipelines.kills import is_killed_at
from tests.stores.compare import all_bytes, in_order
from tests.stores.units import add_units, pack_at_once

ROWS: tuple[TableName, ...] = ("clips", "snippets", "proposals")
MOST = 40_000
"""Bytes of a shard: two units."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six units of two short clips."""
    out = tmp_path_factory.mktemp("small") / "store"
    add_units(out, units=6, clips=2, seconds=3, features=("vggish",), boxes=1)
    return out


@pytest.mark.parametrize("stride", [61, pytest.param(1, marks=pytest.mark.kills)])
def test_a_kill_at_any_moment_leaves_a_whole_store(
    small: Path, tmp_path: Path, beam: Beam, stride: int
) -> None:
    calm = Path(shutil.copytree(small, tmp_path / "calm"))
    pack_at_once(calm, MOST)
    assert len(read_store_manifest(calm).paths("clips")) == 3
    wanted, rows = all_bytes(calm), {name: in_order(small, name) for name in ROWS}
    step, killed = 0, True
    while killed:
        out = Path(shutil.copytree(small, tmp_path / str(step)))
        killed = is_killed_at(step, pack_at_once, out, MOST)
        for name in ROWS:
            assert in_order(out, name).equals(rows[name]), (step, name)
        assert FeatureStore(str(out)).state().done == set(rows["clips"]["clip_key"].to_pylist())
        if step % (3 * stride) == 0:
            assert beam("validate", out).returncode == 0
        pack_at_once(out, MOST)
        assert all_bytes(out) == wanted, step
        assert not list(out.rglob(".tmp-*"))
        count_equal(killed)
        shutil.rmtree(out)
        step += stride
    assert step > 3 * 6 + 5 * (3 * 4)  # old parts removed, new files written: each was a moment


def test_a_killed_pack_of_another_size_begins_anew(small: Path, tmp_path: Path) -> None:
    calm = Path(shutil.copytree(small, tmp_path / "calm"))
    pack_at_once(calm, MOST)
    step, replaced = 0, 0
    while replaced < 2:  # until two of the shards stand
        out = Path(shutil.copytree(small, tmp_path / str(step)))
        assert is_killed_at(step, pack_at_once, out, MOST // 2)
        replaced = len(FeatureStore(str(out)).state().replaced)
        pack_at_once(out, MOST)
        assert all_bytes(out) == all_bytes(calm), step
        count_equal()
        step += 10
