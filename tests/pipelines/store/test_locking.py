"""One job at a time on a store, on a local disk and in a bucket."""

import json
import multiprocessing
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Event, Thread

import pytest

from pipelines.store import files, locking
from pipelines.store.locking import Lease, LeaseTimes, locked
from schemas import JobError, UsageError
from tests.pipelines.cloud import Cloud, cloud_for_clients

OUT = "gs://bucket/out"
PLACE = ("bucket", "out/lease.json")


@pytest.fixture(autouse=True)
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with cloud_for_clients(tmp_path) as here:
        yield here


def test_second_job_is_refused_while_the_first_holds(cloud: Cloud) -> None:
    with locked(OUT), pytest.raises(UsageError) as refused, locked(OUT):
        pass
    assert str(refused.value).startswith(f"another job is writing to {OUT} from ")
    assert "give another --out" in str(refused.value)
    assert not cloud.objects
    with locked(OUT):
        pass


def test_lease_goes_with_a_job_that_fails(cloud: Cloud) -> None:
    with pytest.raises(RuntimeError, match="a bug"), locked(OUT):
        raise RuntimeError("a bug")
    assert not cloud.objects


def test_lease_of_a_killed_job_ends_by_itself(cloud: Cloud) -> None:
    left = {"owner": "gone", "host": "elsewhere", "until": time.time() + 100}
    cloud.objects[PLACE] = json.dumps(left).encode()
    with pytest.raises(UsageError, match=r"from elsewhere; .* is free in (100|99) s"), locked(OUT):
        pass
    left["until"] = time.time() - 1
    cloud.objects[PLACE] = json.dumps(left).encode()
    with locked(OUT):
        pass


@pytest.mark.parametrize(
    "text", ["null", '"held"', "{}", '{"owner": 1, "host": 2, "until": []}', ""]
)
def test_what_is_no_lease_is_named(cloud: Cloud, text: str) -> None:
    cloud.objects[PLACE] = text.encode()
    with pytest.raises(UsageError, match=r"lease\.json is not readable as a lease"), locked(OUT):
        pass


def test_lease_that_goes_while_it_is_read(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = Cloud.describe
    asked: list[str] = []

    def described_and_gone(here: Cloud, bucket: str, name: str) -> dict[str, object]:
        facts = describe(here, bucket, name)
        if not asked:
            here.objects.clear()
        asked.append(name)
        return facts

    left = {"owner": "ended", "host": "elsewhere", "until": time.time() + 100}
    cloud.objects[PLACE] = json.dumps(left).encode()
    monkeypatch.setattr(Cloud, "describe", described_and_gone)
    with locked(OUT):
        assert len(asked) > 1


def until_it_changes(cloud: Cloud, version: int) -> bool:
    """Whether the lease gets another version within ten seconds."""
    deadline = time.monotonic() + 10
    while cloud.generation(*PLACE) == version and time.monotonic() < deadline:
        time.sleep(0.01)
    return cloud.generation(*PLACE) != version


def test_lease_is_renewed_while_the_job_runs(cloud: Cloud) -> None:
    with locked(OUT, times=LeaseTimes(renewed_s=0.05)):
        first = json.loads(cloud.objects[PLACE])
        assert until_it_changes(cloud, cloud.generation(*PLACE))
        assert json.loads(cloud.objects[PLACE])["until"] > first["until"]
    assert not cloud.objects


def test_job_whose_lease_was_taken_over_says_so_and_leaves_the_new_one(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    other = json.dumps({"owner": "b", "host": "elsewhere", "until": time.time() + 100}).encode()

    def job() -> None:
        with locked(OUT, times=LeaseTimes(renewed_s=0.05)):
            cloud.put(*PLACE, other, None)
            deadline = time.monotonic() + 10
            while "has taken the store over" not in caplog.text and time.monotonic() < deadline:
                time.sleep(0.01)

    with pytest.raises(JobError, match="another job took gs://bucket/out over"):
        job()
    assert cloud.objects[PLACE] == other


def test_of_jobs_that_start_at_once_one_goes_on(cloud: Cloud) -> None:
    """All have seen that there is no lease before any of them writes its own."""
    jobs = 4
    start, everyone_done, refused, went_on = Barrier(jobs), Event(), [], []
    seen_absent = Barrier(jobs)
    put = cloud.put

    def put_together(bucket: str, name: str, data: bytes, condition: str | None) -> bool:
        if condition == "0":
            seen_absent.wait(10)
        return put(bucket, name, data, condition)

    cloud.put = put_together  # type: ignore[method-assign]

    def job() -> None:
        start.wait(10)
        try:
            with locked(OUT):
                went_on.append(1)
                everyone_done.wait(10)
        except UsageError as error:
            refused.append(error)
            if len(refused) == jobs - 1:
                everyone_done.set()

    threads = [Thread(target=job) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(went_on), len(refused)) == (1, jobs - 1)


def test_filesystem_without_conditions_gives_the_store_to_who_wrote_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that wrote at once, the one whose lease still stands after a moment goes on."""
    out = "plain://bucket/out"
    uri = f"{out}/lease.json"
    stored: dict[str, bytes] = {}
    other = json.dumps({"owner": "b", "host": "elsewhere", "until": time.time() + 100}).encode()
    monkeypatch.setattr(files, "exists", lambda place: place in stored)
    monkeypatch.setattr(files, "read", stored.__getitem__)
    monkeypatch.setattr(files, "delete", lambda places: [stored.pop(place) for place in places])
    monkeypatch.setattr(files, "write", stored.__setitem__)
    times = LeaseTimes(settles_s=0.01)
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    with locked(out, times=times):
        assert uri in stored
    assert not stored
    assert waited == [0.01]

    def overwritten(place: str, data: bytes) -> None:
        stored[place] = other

    monkeypatch.setattr(files, "write", overwritten)
    with pytest.raises(UsageError, match="from elsewhere"), locked(out, times=times):
        pass
    assert stored[uri] == other


def hold(out: str, ready: "multiprocessing.synchronize.Event") -> None:
    with locked(out):
        ready.set()
        time.sleep(60)


def test_local_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    out = str(tmp_path / "new" / "store")
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold, args=(out, ready))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(UsageError, match="another job is writing"), locked(out):
        pass
    holder.kill()
    holder.join()
    with locked(out):
        pass


def test_times_of_a_lease() -> None:
    assert LeaseTimes() == LeaseTimes(lasts_s=180, renewed_s=45, settles_s=1)


def test_lease_says_who_holds_the_store_and_until_when(cloud: Cloud) -> None:
    before = time.time()
    with locked(OUT):
        lease = json.loads(cloud.objects[PLACE])
    assert before + 180 <= lease["until"] <= time.time() + 180
    assert lease["host"] == platform.node()
    assert len(lease["owner"]) == 32


def test_write_that_its_own_first_half_refuses_has_succeeded(cloud: Cloud) -> None:
    put, refused = cloud.put, []

    def put_twice(bucket: str, name: str, data: bytes, condition: str | None) -> bool:
        put(bucket, name, data, condition)
        refused.append(condition)
        return put(bucket, name, data, condition)

    cloud.put = put_twice  # type: ignore[method-assign]
    with locked(OUT):
        assert PLACE in cloud.objects
    assert refused == ["0"]
    assert not cloud.objects


def test_renewals_end_with_the_job(cloud: Cloud) -> None:
    with locked(OUT, times=LeaseTimes(renewed_s=0.01)):
        assert any(isinstance(one, locking._Renewer) for one in threading.enumerate())
    assert not any(isinstance(one, locking._Renewer) for one in threading.enumerate())
    assert not cloud.objects


class Scripted:
    """A lease file whose writes end as they are told."""

    def __init__(self, *ends: int | Exception | None) -> None:
        self.ends = list(ends)
        self.replaced: list[int] = []
        self.held: tuple[Lease, int] | None = None

    def read(self) -> tuple[Lease, int] | None:
        return self.held

    def write(self, lease: Lease, replaced: int) -> int | None:
        self.replaced.append(replaced)
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def delete(self, version: int) -> None:
        raise AssertionError


def test_renewal_that_fails_is_tried_again_and_one_that_is_refused_is_the_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = Scripted(OSError("no network"), 8, JobError("no bucket"), 9, None)
    renewer = locking._Renewer(file, "me", 7, LeaseTimes(renewed_s=0.0))
    assert renewer.daemon
    assert not renewer.lost
    renewer.run()
    assert (renewer.version, renewer.lost) == (9, True)
    assert file.replaced == [7, 7, 8, 8, 9]
    assert caplog.messages == [
        "the lease cannot be renewed: no network", "the lease cannot be renewed: no bucket",
        "another job has taken the store over",
    ]  # fmt: skip


def test_lease_that_has_ended_is_replaced_in_its_version() -> None:
    file = Scripted(None, 5)
    file.held = Lease("gone", "elsewhere", time.time() - 1), 4
    assert locking._acquire(file, "me", LeaseTimes(), OUT, "--out") == 5
    assert file.replaced == [4, 4]
    file = Scripted(3)
    assert locking._acquire(file, "me", LeaseTimes(), OUT, "--out") == 3
    assert file.replaced == [0]


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_signal_releases_the_lock_and_the_option_is_named(
    place: str, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = OUT if place == "bucket" else str(tmp_path / "new" / "out")
    releases: list[object] = []

    @contextmanager
    def noted(release: object) -> Iterator[None]:
        releases.append(release)
        yield

    monkeypatch.setattr(locking, "released_on_signals", noted)
    held = locked(out, "--media")
    held.__enter__()
    with pytest.raises(UsageError, match="wait for it or give another --media"):
        locked(out, "--media").__enter__()
    (release, *_) = releases
    assert callable(release)
    release()
    with locked(out):
        pass
