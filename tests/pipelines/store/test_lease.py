"""One job at a time on a store in a bucket."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest

from pipelines.runners.launch import locked
from pipelines.store import files
from schemas import UsageError
from tests.pipelines.cloud import Cloud, cloud_for_clients

OUT = "gs://bucket/out"


@pytest.fixture(autouse=True)
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with cloud_for_clients(tmp_path) as here:
        monkeypatch.setattr("pipelines.store.lease._SETTLES_S", 0.3)
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
    cloud.objects["bucket", "out/lease.json"] = json.dumps(left).encode()
    with pytest.raises(UsageError, match=r"from elsewhere; .* is free in (100|99) s"), locked(OUT):
        pass
    left["until"] = time.time() - 1
    cloud.objects["bucket", "out/lease.json"] = json.dumps(left).encode()
    with locked(OUT):
        pass


def test_lease_that_goes_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "exists", lambda place: True)
    with locked(OUT):
        pass


def test_lease_is_renewed_while_the_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.store.lease._RENEWED_S", 0.05)
    with locked(OUT):
        first = json.loads(files.read(f"{OUT}/lease.json"))
        time.sleep(0.5)
        assert json.loads(files.read(f"{OUT}/lease.json"))["until"] > first["until"]


def test_of_jobs_that_start_at_once_one_goes_on() -> None:
    start, refused, went_on = Barrier(4), [], []

    def job() -> None:
        start.wait()
        try:
            with locked(OUT):
                went_on.append(1)
                time.sleep(1)
        except UsageError as error:
            refused.append(error)

    jobs = [Thread(target=job) for _ in range(4)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()
    assert (len(went_on), len(refused)) == (1, 3)
