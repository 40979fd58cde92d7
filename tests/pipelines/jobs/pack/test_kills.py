"""A pack that is killed, wherever it stands: readers find a whole store, the next pack ends it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.store.feature_store import FeatureStore
from schemas import TableName, read_store_manifest
from tests.pipelines.conftest import Beam
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


class Killed(BaseException):
    """The process is gone: nothing that it does from now on happens."""


@pytest.fixture
def kill_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Let so many renames and removals happen, then none."""
    left = [0]
    replace, unlink = Path.replace, Path.unlink

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    def counted_replace(path: Path, target: Path) -> Path:
        count()
        return replace(path, target)

    def counted_unlink(path: Path, missing_ok: bool = False) -> None:
        if path.exists():
            count()
        unlink(path, missing_ok=missing_ok)

    def arm(steps: int) -> None:
        left[0] = steps
        monkeypatch.setattr(Path, "replace", counted_replace)
        monkeypatch.setattr(Path, "unlink", counted_unlink)

    yield arm
    monkeypatch.undo()


def test_a_kill_at_any_moment_leaves_a_whole_store(
    small: Path, tmp_path: Path, kill_after: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch, beam: Beam,
) -> None:  # fmt: skip
    calm = Path(shutil.copytree(small, tmp_path / "calm"))
    pack_at_once(calm, MOST)
    assert len(read_store_manifest(calm).paths("clips")) == 3
    wanted, rows = all_bytes(calm), {name: in_order(small, name) for name in ROWS}
    steps, finished = 0, False
    while not finished:
        out = Path(shutil.copytree(small, tmp_path / str(steps)))
        kill_after(steps)
        try:
            pack_at_once(out, MOST)
            finished = True
        except Killed:
            pass
        monkeypatch.undo()
        for name in ROWS:
            assert in_order(out, name).equals(rows[name]), (steps, name)
        assert FeatureStore(str(out)).state().done == set(rows["clips"]["clip_key"].to_pylist())
        if steps % 8 == 0:
            assert beam("validate", out).returncode == 0
        pack_at_once(out, MOST)
        assert all_bytes(out) == wanted, steps
        assert not list(out.rglob(".tmp-*"))
        shutil.rmtree(out)
        steps += 1
    assert steps > 3 * 6 + 3 * 4  # old parts removed, new files written: each was a moment


def test_a_killed_pack_of_another_size_begins_anew(
    small: Path, tmp_path: Path, kill_after: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, killed = (Path(shutil.copytree(small, tmp_path / name)) for name in ("calm", "killed"))
    pack_at_once(calm, MOST)
    kill_after(9)  # two of the shards stand
    with pytest.raises(Killed):
        pack_at_once(killed, MOST // 2)
    monkeypatch.undo()
    assert len(FeatureStore(str(killed)).state().replaced) == 2
    pack_at_once(killed, MOST)
    assert all_bytes(killed) == all_bytes(calm)
