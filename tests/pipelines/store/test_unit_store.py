"""Unit stores: what was damaged is done again, what is no record is named in one sentence."""

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.store import files, unit_store
from pipelines.store.feature_store import FeatureStore
from pipelines.store.integrity import find_damaged_units
from pipelines.store.media_store import MediaStore, Outcome
from pipelines.store.receipts import Receipt, StoreState, latest_failures
from schemas import RECIPES, Clip, Failure, JobError, Reason, UsageError
from tests.stores.compare import in_order
from tests.stores.edits import as_version_1, edit_record
from tests.stores.units import add_units, pack_at_once
from tests.stores.writer import RECIPE

SMALL = RECIPE.with_(extractors=("vggish",))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three units of two short clips."""
    out = tmp_path_factory.mktemp("whole") / "store"
    fill(out)
    return out


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "store"))


def fill(out: Path, units: int = 3, first: int = 0) -> None:
    add_units(out, units=units, first=first, clips=2, seconds=2, features=("vggish",), boxes=1)


def failure(attempts: int, detail: str = "") -> Failure:
    return Failure("a", "find", Reason.NETWORK, detail, attempts, "2026-01-01")


def receipt_of(unit: str, *failures: Failure) -> Receipt:
    return Receipt(unit, (), failures, {}, {}, 0, {}, {})


def test_latest_failure_is_kept_whatever_the_order_of_receipts() -> None:
    early, late = receipt_of("a", failure(1, "early")), receipt_of("b", failure(2, "late"))
    for receipts in ((early, late), (late, early)):
        assert latest_failures(receipts, frozenset())["a"].detail == "late"
        assert StoreState.of(receipts).failed["a"].detail == "late"
    assert latest_failures((early, late), frozenset({"a"})) == {}


def test_receipts_in_a_bucket_are_read_by_many_threads_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_units(tmp_path, units=70, clips=1, seconds=1, features=("vggish",), failures=0)
    store, read = FeatureStore(str(tmp_path)), files.read
    one_by_one = list(store.receipts())
    lock, reading, most = threading.Lock(), [0], [0]

    def slow(uri: str) -> bytes:
        with lock:
            reading[0] += 1
            most[0] = max(most[0], reading[0])
        time.sleep(0.2)
        with lock:
            reading[0] -= 1
        return read(uri)

    monkeypatch.setattr(files, "is_local", lambda uri: False)
    monkeypatch.setattr(files, "read", slow)
    monkeypatch.setattr(unit_store, "_READ_AHEAD", 64)
    assert list(store.receipts()) == one_by_one
    assert len(one_by_one) == 70
    assert most[0] >= 8


def test_receipt_comes_back(store: Path) -> None:
    for path in (store / "receipts").iterdir():
        receipt = Receipt.decode(path.read_bytes())
        assert Receipt.decode(receipt.encode()) == receipt
        assert receipt.has_checksums
        assert receipt.recipe == SMALL.hash


def receipts(out: Path) -> list[Path]:
    return sorted((out / "receipts").iterdir())


def part(out: Path, table: str) -> Path:
    return sorted((out / table).iterdir())[0]


def reopened(out: Path, *, verify: bool = False) -> StoreState:
    opened = FeatureStore(str(out))
    opened.open("folder", SMALL, verify=verify)
    return opened.state()


@pytest.mark.parametrize("table", ["clips", "snippets", "proposals"])
@pytest.mark.parametrize("packed", [False, True])
def test_unit_with_a_part_that_is_missing_or_cut_is_done_again(
    store: Path, table: str, packed: bool
) -> None:
    if packed:
        pack_at_once(store)
    before = reopened(store).done
    path = part(store, table)
    path.write_bytes(path.read_bytes()[:-1])
    left = reopened(store).done
    lost = 6 if packed else 2
    assert len(before) - len(left) == lost
    fill(store)  # what the job does with clips that are open
    part(store, table).unlink()
    assert len(before) - len(reopened(store).done) == 2
    fill(store)
    assert reopened(store).done == before


def test_changed_bytes_are_found_where_all_parts_are_verified(store: Path) -> None:
    path = part(store, "snippets")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert len(reopened(store).done) == 6
    plain = FeatureStore(str(store))
    plain.open("folder", SMALL)
    plain.forget_damaged()
    assert len(plain.state().done) == 6
    assert len(reopened(store, verify=True).done) == 4


def test_labels_of_a_damaged_part_are_not_changed(store: Path) -> None:
    """Or it would get a checksum that is right."""
    path = part(store, "clips")
    state = reopened(store)
    data = bytearray(path.read_bytes())
    data[100] ^= 16
    path.write_bytes(data)
    clips = {key: Clip(key, 0, 2, "test", ("Dog",), key) for key in state.done}
    with pytest.raises(JobError, match=r"is damaged \(.*run the same command again with --verify"):
        FeatureStore(str(store)).update_labels(state, clips)


def test_store_of_version_1_is_not_done_again(store: Path) -> None:
    as_version_1(store)
    clips = {key: Clip(key, 0, 2, "test", ("Dog",), key) for key in reopened(store).done}
    FeatureStore(str(store)).update_labels(reopened(store), clips)  # its size is no longer that
    assert len(reopened(store).done) == 6
    assert len(reopened(store, verify=True).done) == 6
    path = part(store, "snippets")
    path.write_bytes(path.read_bytes()[:-1])
    assert len(reopened(store).done) == 4


def test_labels_that_change_come_with_a_receipt_for_them(store: Path) -> None:
    state = reopened(store)
    clips = {key: Clip(key, 0, 2, "test", ("Dog", "Bell"), key) for key in state.done}
    after = FeatureStore(str(store)).update_labels(state, clips)
    assert after.receipts == FeatureStore(str(store)).state().receipts
    assert not find_damaged_units(str(store), after.receipts, verify=True)
    paths = {path for receipt in after.receipts for path in [receipt.parts["clips"]]}
    rows = pa.concat_tables([pa.parquet.read_table(store / path) for path in paths]).to_pylist()
    assert all(row["labels"] == ["Dog", "Bell"] and row["split"] == "test" for row in rows)
    assert len(rows) == 6
    assert in_order(store, "clips")["labels"].to_pylist() != [["Dog", "Bell"]] * 6  # until then


def test_time_of_writing_is_a_stage_of_units_with_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, table = MediaStore(str(tmp_path)), pa.table({"clip_key": ["a"]})
    times = iter([10.0, 12.5, 20.0, 22.0, 30.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    assert store.commit("unit-1", {"media": table}, ["a"], (), {}, {}).seconds == {"write": 2.5}
    seconds = {"fetch": 1.0, "write": 0.5}
    found = store.commit("unit-2", {"media": table}, ["b"], (), seconds, {}, warming=1)
    assert found.seconds == {"fetch": 1.0, "write": 2.5}
    assert (found.warming, found.rows) == (1, {"media": 1})
    assert found.size == (tmp_path / "media" / "unit-2.parquet").stat().st_size
    assert store.commit("unit-3", {}, (), (), {"fetch": 1.0}, {}).seconds == {"fetch": 1.0}


def test_what_killed_jobs_left_goes_with_the_next_manifest(store: Path) -> None:
    left = [store / name for name in (".tmp-a", "receipts/.tmp-b", "clips/unit-x.parquet")]
    others = [store / "notes.txt", store / "receipts" / "notes.txt"]
    for path in [*left, *others]:
        path.touch()
    opened = FeatureStore(str(store))
    manifest = opened.read_manifest()
    assert manifest is not None
    opened.replace_manifest(manifest, opened.state(), keep_parts=True)
    assert all(path.exists() for path in left)
    opened.replace_manifest(manifest, opened.state())
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)
    assert len(reopened(store).done) == 6


def test_a_store_below_a_folder_named_like_something_temporary_stays(
    store: Path, tmp_path: Path
) -> None:
    held = shutil.copytree(store, tmp_path / ".tmp-mine" / "store")
    before = sorted(path.name for path in held.rglob("*") if path.is_file())
    opened = FeatureStore(str(held))
    manifest = opened.read_manifest()
    assert manifest is not None
    opened.replace_manifest(manifest, opened.state())
    assert sorted(path.name for path in held.rglob("*") if path.is_file()) == before
    assert len(reopened(held).done) == 6


WRONG = ("null", '"text"', "[]", "7", "{}", '{"schema_version": 99}', "", "{", "[" * 9999)


@pytest.mark.parametrize("text", [*WRONG, '{"unit": 7}', '{"unit": "a", "done": "b"}'])
def test_receipt_that_is_none_is_named_in_one_sentence(store: Path, text: str) -> None:
    receipts(store)[1].write_text(text)
    with pytest.raises(JobError, match=r"receipts/.*\.json is not readable as a receipt"):
        FeatureStore(str(store)).state()


@pytest.mark.parametrize("name", list(vars(receipt_of("a"))))
@pytest.mark.parametrize("value", [None, 7, "text", [None], {"a": None}, True, -1e400])
def test_field_of_another_type_is_named(store: Path, name: str, value: object) -> None:
    path = receipts(store)[0]
    whole = json.loads(path.read_text())[name]
    edit_record(path, lambda it: it.update({name: value}))
    try:
        receipt = FeatureStore(str(store)).receipt(path.stem)
    except JobError as error:
        said = str(error)
    else:  # a value that the field may have
        assert receipt is not None
        assert type(value) is type(whole)
        return
    assert "is not readable as a receipt" in said


def test_copied_receipt_is_refused(store: Path) -> None:
    path = receipts(store)[0]
    shutil.copy(path, path.with_name("unit-copy.json"))
    with pytest.raises(JobError, match="a copy under another name"):
        FeatureStore(str(store)).state()
    edit_record(path.with_name("unit-copy.json"), lambda it: it.update(unit="unit-copy"))
    with pytest.raises(JobError, match="which is no part of unit 'unit-copy'"):
        FeatureStore(str(store)).state()


def test_receipt_of_another_recipe_is_refused(store: Path) -> None:
    other = SMALL.with_(precision="bf16")
    FeatureStore(str(store), other).commit("unit-x", {}, (), [failure(1)], {}, {})
    with pytest.raises(JobError, match=f"of recipe {other.hash}, the store of recipe"):
        reopened(store)


@pytest.mark.parametrize("text", WRONG)
def test_store_json_that_is_none_is_named(store: Path, text: str) -> None:
    (store / "store.json").write_text(text)
    with pytest.raises(JobError, match=r"store\.json is not readable as a feature store's"):
        reopened(store)


@pytest.mark.parametrize("text", WRONG)
def test_media_json_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "media.json").write_text(text)
    with pytest.raises(JobError, match=r"media\.json is not readable as a media store's"):
        MediaStore(str(tmp_path)).open("folder", 360)


def test_stores_of_two_kinds_or_settings_do_not_mix(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds features; give another --media"):
        MediaStore(str(store)).open("folder", 360)
    media = MediaStore(str(tmp_path / "media"))
    media.open("folder", 360)
    media.open("folder", 360)
    others = SMALL.with_(extractors=("vggish", "logmel"))
    with pytest.raises(UsageError) as refused:
        FeatureStore(str(store)).open("folder", others)
    assert str(refused.value) == (
        f"{store} was begun with the extractors vggish and keeps to them; for vggish,logmel run "
        "the same command with another --out, which makes them all for the same clips, or remove "
        f"{store} first"
    )
    with pytest.raises(UsageError, match="holds media of height 360, this job asks for 720"):
        media.open("folder", 720)
    with pytest.raises(UsageError, match="holds media; give another --out"):
        FeatureStore(media.out).open("folder", SMALL)
    with pytest.raises(UsageError, match="holds features of data set 'folder', this job makes"):
        FeatureStore(str(store)).open("llp", SMALL)
    with pytest.raises(UsageError, match=r"proposals_per_snippet 10 \(now 9\); shards of two"):
        FeatureStore(str(store)).open("folder", SMALL.with_(proposals_per_snippet=9))


def test_recipe_of_version_1_keeps_its_hash() -> None:
    """Receipts and stores of version 1 name their recipe by it."""
    recipe = RECIPES["llp-eccv20"].with_(weights="seeded:0", precision="bf16")
    assert recipe.with_(proposals_choice="best").hash == "3cfd23197658"


@pytest.mark.parametrize(
    "line", [b"null", b"7", b'"a"', b"{}", b'{"key": "a"}', b"\0\0\0", b'{"key": 1, "attempt": 1}']
)
def test_damaged_line_of_a_journal_is_passed_over(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "journal").mkdir()
    good = Outcome("a", 1, None, replace(failure(1), clip_key="a")).encode()
    (tmp_path / "journal" / "unit-1.jsonl").write_bytes(line + b"\n" + good + b"\n" + good[:9])
    (outcome,) = MediaStore(str(tmp_path)).read_journal("unit-1")
    assert outcome.key == "a"
