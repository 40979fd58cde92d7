"""Media stores: where a clip's file goes, what journals save, and what counts as done."""

from pathlib import Path
from threading import Lock

import pytest

from pipelines.store.media_store import MediaState, MediaStore, Outcome
from schemas import Failure, Reason

TOOLS = {"ffmpeg": "7"}


@pytest.fixture
def store(tmp_path: Path) -> MediaStore:
    store = MediaStore(str(tmp_path / "media"))
    store.open("folder", 360)
    return store


def done(key: str, attempt: int = 1) -> Outcome:
    return Outcome(key, attempt, {"clip_key": key, "size": 7})


def failed(key: str, attempt: int = 1) -> Outcome:
    failure = Failure(key, "fetch", Reason.NETWORK, "broke", attempt, "2026-01-01T00:00:00+00:00")
    return Outcome(key, attempt, None, failure)


def place(store: MediaStore, name: str) -> Path:
    return Path(store.out, name)


def test_scratch_file_is_moved_to_its_clip_and_a_users_file_is_copied(
    store: MediaStore, tmp_path: Path
) -> None:
    scratch = place(store, ".tmp-work")
    scratch.mkdir()
    made = {
        "moved": scratch / "made.mp4",
        "users": tmp_path / "users.mp4",
        "inside": place(store, "inside-already.mp4"),
        "elsewhere": tmp_path / ".tmp-other.mp4",
    }
    for key, path in made.items():
        path.write_bytes(key.encode())
        store.put(key, path)
        assert place(store, f"{key}.mp4").read_bytes() == key.encode()
    assert {key for key, path in made.items() if not path.exists()} == {"moved"}


def test_link_in_scratch_is_copied_so_that_the_store_holds_no_links(
    store: MediaStore, tmp_path: Path
) -> None:
    scratch = place(store, ".tmp-work")
    scratch.mkdir()
    (tmp_path / "users.mp4").write_bytes(b"film")
    (scratch / "link.mp4").symlink_to(tmp_path / "users.mp4")
    store.put("a", scratch / "link.mp4")
    assert not place(store, "a.mp4").is_symlink()
    assert place(store, "a.mp4").read_bytes() == b"film"
    assert (tmp_path / "users.mp4").exists()


def test_present_are_the_films_of_the_folder(store: MediaStore) -> None:
    for name in ("a.mp4", "b.mp4", "notes.txt", "c.mp4.part"):
        place(store, name).touch()
    assert store.present() == {"a", "b"}


def test_commit_holds_records_failures_and_the_time_of_fetching(store: MediaStore) -> None:
    receipt = store.commit_outcomes("unit-1", [done("a"), failed("b")], 2.5, TOOLS)
    assert receipt.done == ("a",)
    assert [failure.clip_key for failure in receipt.failed] == ["b"]
    assert receipt.rows == {"media": 1}
    assert receipt.seconds["fetch"] == 2.5
    assert receipt.provenance == TOOLS
    only_failures = store.commit_outcomes("unit-2", [failed("c")], 1.0, TOOLS)
    assert only_failures.rows == {}


def test_clip_whose_file_vanished_is_open_again_and_attempts_are_counted(store: MediaStore) -> None:
    for key in ("a", "b"):
        place(store, f"{key}.mp4").touch()
    store.commit_outcomes("unit-1", [done("a"), done("b"), failed("c")], 0.0, TOOLS)
    store.commit_outcomes("unit-2", [failed("c", 2), done("d")], 0.0, TOOLS)
    place(store, "b.mp4").unlink()
    state = store.media_state()
    assert state.done == {"a"}
    assert {key: failure.attempts for key, failure in state.failed.items()} == {"c": 2}
    assert state.attempts == {"a": 1, "b": 1, "c": 2, "d": 1}
    kept = store.media_state(frozenset({"c", "b"}))
    assert kept.done == {"a", "b", "c"}
    assert not kept.failed
    assert MediaState(frozenset(), {}).attempts == {}


def test_journal_of_a_killed_job_becomes_a_receipt_once(store: MediaStore) -> None:
    lock = Lock()
    for outcome in (done("a"), failed("b")):
        store.append_journal("unit-1", outcome, lock)
    place(store, "a.mp4").touch()
    assert list(store.read_journal("unit-1")) == [done("a"), failed("b")]
    assert list(store.read_journal("unit-2")) == []
    assert store.recover_journals() == 2
    (receipt,) = store.receipts()
    assert (receipt.done, receipt.seconds["fetch"], receipt.provenance) == (("a",), 0.0, {})
    assert receipt.unit.startswith("unit-")
    assert len(receipt.unit) == len("unit-") + 16
    assert not list(place(store, "journal").iterdir())
    assert store.recover_journals() == 0
    assert len(list(store.receipts())) == 1


def test_journal_of_a_committed_unit_is_dropped(store: MediaStore) -> None:
    store.append_journal("unit-1", done("a"), Lock())
    journal = place(store, "journal/unit-1.jsonl")
    text = journal.read_bytes()
    store.commit_outcomes("unit-1", [done("a")], 0.0, TOOLS)
    assert not journal.exists()
    journal.write_bytes(text)  # killed between the receipt and the removal
    assert store.recover_journals() == 0
    assert not journal.exists()
    assert len(list(store.receipts())) == 1


def test_recovered_units_are_named_by_their_clips_and_attempts(store: MediaStore) -> None:
    names = []
    for outcomes in ([done("a")], [done("b")], [done("a", 2)]):
        for outcome in outcomes:
            store.append_journal("unit-x", outcome, Lock())
        store.recover_journals()
        names.append({receipt.unit for receipt in store.receipts()})
    assert [len(found) for found in names] == [1, 2, 3]


def test_outcome_is_a_record_or_a_failure() -> None:
    for outcome in (done("a", 3), failed("b", 2)):
        assert Outcome.decode(outcome.encode()) == outcome
    with pytest.raises(ValueError, match="neither a record nor a failure"):
        Outcome.decode(Outcome("a", 1).encode())
    both = Outcome("a", 1, {"clip_key": "a"}, failed("a").failure)
    with pytest.raises(ValueError, match="neither a record nor a failure"):
        Outcome.decode(both.encode())
