"""A pack changes the files of a store and nothing else, whatever happens on the way."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models import train
from models.data.streaming.clips import open_stream
from pipelines.jobs.pack import pack
from pipelines.store.feature_store import FeatureStore
from schemas import StoreManifest, TableName, read_store_manifest
from tests.complaints import sentence
from tests.pipelines.cloud import cloud_for_clients
from tests.pipelines.conftest import Beam, make_clip
from tests.stores.compare import all_bytes, in_order, same_rows
from tests.stores.edits import as_version_1
from tests.stores.units import add_units, pack_at_once

ROWS: tuple[TableName, ...] = ("clips", "snippets", "proposals")
UNITS = 12


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as a features job leaves it: twelve units of four clips."""
    out = tmp_path_factory.mktemp("loose") / "store"
    add_units(out, units=UNITS, boxes=3)
    return out


@pytest.fixture
def store(loose: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(loose, tmp_path / "store"))


@pytest.fixture(scope="module")
def packed(loose: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store packed into three shards, row groups of half a megabyte."""
    out = Path(shutil.copytree(loose, tmp_path_factory.mktemp("packed") / "store"))
    pack_at_once(out)
    return out


def named(manifest: StoreManifest) -> set[Path]:
    return {manifest.root / path for paths in manifest.data["tables"].values() for path in paths}


def test_command_packs_and_a_second_one_finds_nothing(
    loose: Path, packed: Path, store: Path, beam: Beam
) -> None:
    done = beam("run", "pack", "--out", store, "--shard-mb", 2)
    assert done.returncode == 0, done.stderr
    assert "48 clips packed" in done.stdout
    assert beam("validate", store).returncode == 0
    assert all_bytes(store) == all_bytes(packed)
    manifest = read_store_manifest(store)
    assert named(manifest) == set(store.glob("*/*.parquet"))
    assert len(manifest.paths("snippets")) == 3 < len(read_store_manifest(loose).paths("snippets"))
    assert len(list((store / "receipts").iterdir())) == 3
    again = beam("run", "pack", "--out", store, "--shard-mb", 2)
    assert "Nothing was left to pack" in again.stdout
    assert all_bytes(store) == all_bytes(packed)


def test_rows_keep_their_order_and_facts_stay(loose: Path, packed: Path) -> None:
    for name in (*ROWS, "failures"):
        assert in_order(packed, name).equals(in_order(loose, name)), name
        assert in_order(packed, name).schema.equals(in_order(loose, name).schema, True), name
    before, after = (read_store_manifest(out).data for out in (loose, packed))
    for manifest in (before, after):
        del manifest["tables"], manifest["receipts_sha256"]  # what a pack changes
    assert after == before
    state = [FeatureStore(str(out)).state() for out in (loose, packed)]
    assert state[0].done == state[1].done
    assert state[0].failed == state[1].failed


def test_shards_of_one_name_hold_the_same_clips(packed: Path) -> None:
    seen: set[str] = set()
    for path in read_store_manifest(packed).paths("clips"):
        keys = pq.read_table(path)["clip_key"].to_pylist()
        assert not seen & set(keys)
        seen |= set(keys)
        for name in ("snippets", "proposals"):
            other = packed / name / path.name
            assert 0.5e6 < (packed / "snippets" / path.name).stat().st_size < 2e6
            assert list(dict.fromkeys(pq.read_table(other)["clip_key"].to_pylist())) == keys
    assert len(seen) == 4 * UNITS


def test_workers_side_by_side_write_the_same_bytes(packed: Path, store: Path, beam: Beam) -> None:
    two = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    done = beam("run", "pack", "--out", store, "--shard-mb", 2, *two)
    assert done.returncode == 0, done.stderr
    assert all_bytes(store) == all_bytes(packed)


def test_a_store_in_a_bucket_becomes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beam: Beam
) -> None:
    here = tmp_path / "here"
    add_units(here, units=6, clips=2, seconds=3, features=("vggish",), boxes=1)
    loose = all_bytes(here)
    pack_at_once(here, 1_000_000)
    with cloud_for_clients(tmp_path) as cloud:
        for name, data in loose.items():
            cloud.objects["bucket", f"store/{name}"] = data
        done = beam("run", "pack", "--out", "gs://bucket/store", "--shard-mb", 1)
        assert done.returncode == 0, done.stderr
        there = cloud.get_folder("bucket", "store", tmp_path / "there")
        assert all_bytes(there) == all_bytes(here)


def test_new_clips_join_the_last_shard(store: Path, beam: Beam) -> None:
    pack_at_once(store)
    first = all_bytes(store / "snippets")
    add_units(store, units=3, first=UNITS, boxes=3)
    assert beam("validate", store).returncode == 0
    order = in_order(store, "clips")["clip_key"].to_pylist()
    pack_at_once(store)
    assert beam("validate", store).returncode == 0
    assert in_order(store, "clips")["clip_key"].to_pylist() == order
    assert len(order) == 4 * (UNITS + 3)
    second = all_bytes(store / "snippets")
    assert all(name.startswith("pack-") for name in second)
    assert first.items() <= second.items()  # full ones are not written again
    pack_at_once(store, 8_000_000)
    assert len(all_bytes(store / "snippets")) == 1
    assert in_order(store, "clips")["clip_key"].to_pylist() == order


def test_parts_may_stay_for_those_who_read_them(loose: Path, store: Path) -> None:
    old = named(read_store_manifest(store))
    pack_at_once(store, keep_parts=True)
    assert all(path.exists() for path in old)
    assert len(list((store / "receipts").iterdir())) == 3
    pack_at_once(store)
    assert not any(path.exists() for path in old if "unit-" in path.name)
    same_rows(loose, store, ("clips", "snippets", "failures"))


def test_features_job_goes_on_after_a_pack(tmp_path: Path, beam: Beam) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    for number in range(3):
        make_clip(media / f"clip{number}.mp4", 1.0)
    (media / "broken.mp4").write_bytes(b"this is not a film")
    job = (
        "run", "features", "--dataset", "folder", "--media", media, "--out", out,
        "--extractors", "logmel", "--weights", "seeded", "--unit-size", 1,
    )  # fmt: skip
    assert beam(*job).returncode == 0
    assert beam("run", "pack", "--out", out).returncode == 0
    before = all_bytes(out)
    again = beam(*job)
    assert "Nothing was left to do" in again.stdout, again.stderr
    after = all_bytes(out)
    assert {name for name in before if before[name] != after[name]} <= {
        "manifest.json", "coverage.json", "coverage.md"
    }  # fmt: skip
    make_clip(media / "clip9.mp4", 1.0)
    assert beam(*job).returncode == 0
    assert len(list((out / "snippets").iterdir())) == 2
    assert beam("run", "pack", "--out", out).returncode == 0
    assert len(list((out / "snippets").iterdir())) == 1
    assert beam("validate", out).returncode == 0
    counts = read_store_manifest(out).data["counts"]
    assert (counts["clips_done"], counts["clips_failed"]) == (4, 1)


def test_training_gives_the_same_numbers(loose: Path, packed: Path, tmp_path: Path) -> None:
    found = []
    for features in (loose, packed):
        run = tmp_path / features.parent.name
        words = ["fayek_visual", "--features", str(features), "--run", str(run), "--epochs", "2"]
        train.main([*words, "--batch-size", "8"])
        metrics = json.loads((run / "results.json").read_text())["metrics"]
        found.append((pq.read_table(run / "predictions.parquet"), metrics))
    assert found[0][0].equals(found[1][0])
    assert found[0][1] == found[1][1]


def test_streaming_gives_the_same_clips(loose: Path, packed: Path) -> None:
    rows = torch.arange(4 * UNITS).flip(0)
    one, other = (
        open_stream(out, ("resnet152", "vggish"), buffer_clips=8).batch(rows)
        for out in (loose, packed)
    )
    for name in ("resnet152", "vggish"):
        assert torch.equal(one.features[name], other.features[name])
        assert torch.equal(one.present[name], other.present[name])
    assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("seed", range(5))
def test_row_groups_end_where_clips_end(seed: int) -> None:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 40, 300)
    keys = np.repeat([f"clip{number}" for number in range(300)], lengths).tolist()
    rows = pa.table({"clip_key": keys, "value": random.standard_normal(len(keys))})
    batches = rows.to_batches(max_chunksize=64)
    most = rows.nbytes // 20
    groups = [pa.Table.from_batches(one) for one in pack.row_groups(iter(batches), most)]
    assert pa.concat_tables(groups).equals(rows)
    ends = [group["clip_key"][-1].as_py() for group in groups[:-1]]
    starts = [group["clip_key"][0].as_py() for group in groups[1:]]
    assert all(end != start for end, start in zip(ends, starts, strict=True))
    assert 10 < len(groups) < 40
    assert max(group.nbytes for group in groups) < most + 2 * max(b.nbytes for b in batches)


def test_memory_does_not_grow_with_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    gathered = pack.row_groups

    def watched(*arguments: Any) -> Iterator[list[pa.RecordBatch]]:
        for group in gathered(*arguments):
            held.append(pa.total_allocated_bytes() - before)
            yield group

    monkeypatch.setattr(pack, "row_groups", watched)
    peaks = []
    for units in (6, 30):
        out = tmp_path / str(units)
        add_units(out, units=units)
        before = pa.total_allocated_bytes()
        held.clear()
        pack_at_once(out, 10**9, row_group_bytes=2**20)
        peaks.append(max(held))
    (shard,) = (out / "snippets").iterdir()
    assert 2**20 < peaks[1] < 1.2 * peaks[0] < shard.stat().st_size / 2


def test_what_cannot_be_packed_is_said(store: Path, tmp_path: Path, beam: Beam) -> None:
    def refused(*words: object) -> str:
        return sentence(beam("run", "pack", "--out", *words))

    assert "no finished feature store" in refused(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    assert "at least 1" in refused(store, "--shard-mb", 0)
    assert "did you mean --shard-mb" in refused(store, "--shard-nb", 9)
    assert "DaskRunner loses data" in refused(store, "--runner", "DaskRunner")
    with (store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another job is writing" in refused(store)
    (tmp_path / "media.json").write_text("{}")
    assert "holds media" in refused(tmp_path)
    last = sorted((store / "receipts").iterdir())[-1]
    last.rename(tmp_path / last.name)
    assert "did not come to its end" in refused(store)


@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_part_stops_the_job_and_changes_nothing(
    store: Path, beam: Beam, gone: bool
) -> None:
    part = sorted((store / "snippets").iterdir())[-1]
    part.write_bytes(part.read_bytes()[:-100])
    if gone:
        part.unlink()
    before = read_store_manifest(store).data
    done = beam("run", "pack", "--out", store)
    assert done.returncode == 1
    assert part.name in done.stderr
    assert done.stderr.count("\n") == 1
    assert read_store_manifest(store).data == before


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_changed_values_are_not_packed_as_good_ones(store: Path, beam: Beam, place: float) -> None:
    part = sorted((store / "snippets").iterdir())[-1]
    data = bytearray(part.read_bytes())
    data[int(place * len(data))] ^= 1
    part.write_bytes(data)
    before = all_bytes(store)
    done = beam("run", "pack", "--out", store)
    assert done.returncode == 1
    assert f"{part} is not what its receipt says (its content was changed" in done.stderr
    assert done.stderr.count("\n") == 1
    assert before.items() <= all_bytes(store).items()
    assert beam("validate", store).returncode == 1


def test_parts_of_other_columns_are_not_joined(store: Path, beam: Beam) -> None:
    as_version_1(store)  # without a sha256 the columns are all that tells
    part = sorted((store / "snippets").iterdir())[-1]
    table = pq.read_table(part)
    pq.write_table(table.rename_columns([f"{name}_" for name in table.column_names]), part)
    done = beam("run", "pack", "--out", store)
    assert done.returncode == 1
    assert "its columns are not those of the others" in done.stderr


@pytest.mark.parametrize(
    ("name", "status"), [("receipts", 1), ("store.json", 1), ("manifest.json", 2)]
)
def test_a_damaged_record_is_named(store: Path, beam: Beam, name: str, status: int) -> None:
    path = store / name
    if path.is_dir():
        path = sorted(path.iterdir())[3]
    path.write_bytes(path.read_bytes()[:20])
    before = all_bytes(store)
    done = beam("run", "pack", "--out", store)
    assert done.returncode == status, done.stdout
    assert f"{path} is not readable" in done.stderr
    assert done.stderr.count("\n") == 1
    assert all_bytes(store) == before


def test_tables_without_rows_and_units_without_clips(tmp_path: Path, beam: Beam) -> None:
    add_units(tmp_path / "out", units=2, clips=0, boxes=1, failures=5)
    done = beam("run", "pack", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out/receipts").iterdir())) == 1
    assert in_order(tmp_path / "out", "proposals").num_rows == 0
    assert in_order(tmp_path / "out", "failures").num_rows == 10


def test_too_little_room_is_said_before_anything_is_written(
    store: Path, beam: Beam, monkeypatch: pytest.MonkeyPatch
) -> None:
    plenty = shutil.disk_usage(store)._replace(free=10**12)
    answers = iter([plenty])  # one for the check that every job makes
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: next(answers, plenty._replace(free=10**6))
    )
    before = all_bytes(store)
    done = beam("run", "pack", "--out", store)
    assert done.returncode == 1
    assert "make room" in done.stderr
    assert all_bytes(store) == before
