"""Real kills at every moment of a commit, a manifest, new labels and a download."""

import shutil
import threading
from pathlib import Path

import pytest

from pipelines.store.feature_store import FeatureStore
from pipelines.store.integrity import find_damaged_units
from pipelines.store.media_store import MediaStore, Outcome
from schemas import Clip, read_store_manifest
from tests.killed import count_equal
from tests.pipelines.kills import is_killed_at
from tests.stores.compare import in_order
from tests.stores.units import add_units
from tests.stores.writer import RECIPE

STRIDES = [7, pytest.param(1, marks=pytest.mark.kills)]
"""Every so many changes of the disk is a kill; `make test-kills` tries each."""
SMALL = RECIPE.with_(extractors=("vggish",))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three units of two short clips."""
    out = tmp_path_factory.mktemp("whole") / "store"
    fill(out, 3)
    return out


def fill(out: Path, units: int, first: int = 0) -> None:
    """Commit units and write the manifest."""
    add_units(out, units=units, first=first, clips=2, seconds=2, features=("vggish",), boxes=1)


def is_whole(out: Path) -> bool:
    """Whether every receipt's parts are those that it names, and the manifest can be read."""
    state = FeatureStore(str(out)).state()
    damaged = find_damaged_units(str(out), state.receipts, verify=True)
    if (out / "manifest.json").exists():
        read_store_manifest(out)
    return not damaged


@pytest.mark.parametrize("stride", STRIDES)
def test_kill_at_any_moment_of_a_commit_or_a_manifest(
    whole: Path, tmp_path: Path, stride: int
) -> None:
    step, killed, committed = 0, True, set()
    while killed:
        out = tmp_path / str(step)
        fill(out, 1)
        killed = is_killed_at(step, fill, out, 2, 1)
        assert is_whole(out), step
        committed.add(len(list((out / "receipts").iterdir())))
        for name in ("clips", "snippets", "proposals"):  # readers see what was, or what is now
            rows = in_order(out, name)
            assert rows.equals(in_order(whole, name).slice(0, rows.num_rows)), (step, name)
        fill(out, 2, first=1)
        for name in ("clips", "snippets", "proposals", "failures", "events"):
            assert in_order(out, name).equals(in_order(whole, name)), (step, name)
        assert not list(out.glob(".tmp-*"))
        count_equal(killed)
        shutil.rmtree(out)
        step += stride
    assert committed == {1, 2, 3}


def relabel(out: Path) -> None:
    """What the end of a features job does after the labels of a data set have changed."""
    opened = FeatureStore(str(out), SMALL)
    state = opened.state()
    clips = {key: Clip(key, 0, 2, "test", ("Dog",), key) for key in state.done}
    state = opened.update_labels(state, clips)
    manifest = opened.read_manifest()
    assert manifest is not None
    opened.replace_manifest({**manifest, "tables": {**manifest["tables"], **{
        name: paths for name, paths in opened.parts(state).items() if paths
    }}}, state)  # fmt: skip


@pytest.mark.parametrize("stride", STRIDES)
def test_kill_while_labels_change(whole: Path, tmp_path: Path, stride: int) -> None:
    calm = Path(shutil.copytree(whole, tmp_path / "calm"))
    relabel(calm)
    before, after = in_order(whole, "clips"), in_order(calm, "clips")
    assert not before.equals(after)
    step, killed = 0, True
    while killed:
        out = Path(shutil.copytree(whole, tmp_path / str(step)))
        killed = is_killed_at(step, relabel, out)
        assert is_whole(out), step
        assert in_order(out, "clips").equals(before) or in_order(out, "clips").equals(after), step
        relabel(out)
        assert in_order(out, "clips").equals(after)
        count_equal(killed)
        shutil.rmtree(out)
        step += stride


def fetch(out: Path) -> None:
    """What a download does with a unit of three clips, and with the journals of a killed one."""
    media = MediaStore(str(out))
    media.open("folder", 360)
    media.recover_journals()
    lock, outcomes = threading.Lock(), []
    for key in ("a", "b", "c"):
        if key in media.media_state().done:
            continue
        made = out / ".tmp-fetch-1-x" / key
        made.parent.mkdir(exist_ok=True)
        made.write_bytes(key.encode() * 5000)
        media.put(key, made)
        with (out.parent / f"{out.name}.fetched").open("a") as fetched:
            fetched.write(key)
        outcomes.append(Outcome(key, 1, {"clip_key": key, "sha256": key}))
        media.append_journal("unit-1", outcomes[-1], lock)
    if outcomes:
        media.commit_outcomes("unit-1", outcomes, 0.0, {})


@pytest.mark.parametrize("stride", STRIDES)
def test_kill_at_any_moment_of_a_download_loses_one_clip_at_most(
    tmp_path: Path, stride: int
) -> None:
    step, killed = 0, True
    while killed:
        out = tmp_path / str(step)
        killed = is_killed_at(step, fetch, out)
        fetch(out)
        media = MediaStore(str(out))
        assert media.media_state().done == {"a", "b", "c"}
        assert len((tmp_path / f"{step}.fetched").read_text()) <= 3 + 1, "one clip is fetched again"
        for key in ("a", "b", "c"):
            assert (out / f"{key}.mp4").read_bytes() == key.encode() * 5000
        assert not list((out / "journal").iterdir())
        assert is_whole_media(out)
        count_equal(killed)
        shutil.rmtree(out)
        step += stride


def is_whole_media(out: Path) -> bool:
    state = MediaStore(str(out)).state()
    return not find_damaged_units(str(out), state.receipts, verify=True)
