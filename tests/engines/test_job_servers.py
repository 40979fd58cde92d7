"""The features job on real engines: the tables are those of a local run, also when a worker dies.

`make test-flink` and `make test-spark` run these: Java and Maven are needed, and time.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from pipelines.demo import DemoOptions, generate
from schemas import TableName
from tests.complaints import sentence
from tests.engines.job_server import FLINK, ONE_THREAD, SPARK, Engine, serving, worker_pool
from tests.places import ROOT
from tests.stores.compare import counts, same_rows

CLIPS = 10
TABLES: tuple[TableName, ...] = ("clips", "snippets", "failures")
_JOB_S = 400


@dataclass(frozen=True)
class Cluster:
    """An engine at work, with its workers."""

    engine: Engine
    options: tuple[str, ...]
    """What Beam is told to reach it."""
    pool: psutil.Process

    def workers(self) -> list[psutil.Process]:
        """The processes that run our code."""
        return self.pool.children()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(FLINK, marks=pytest.mark.flink, id="flink"),
        pytest.param(SPARK, marks=pytest.mark.spark, id="spark"),
    ],
)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster of parallelism 2; logs lie in pytest's folder."""
    folder = tmp_path_factory.mktemp("engine")
    with serving(request.param, folder) as server, worker_pool(folder) as (address, pool):
        options = (
            "--runner=PortableRunner", f"--job_endpoint={server}", "--environment_type=EXTERNAL",
            f"--environment_config={address}", "--parallelism=2", "--sdk_worker_parallelism=2",
        )  # fmt: skip
        yield Cluster(request.param, options, pool)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of the demo world."""
    return generate(DemoOptions(clips=CLIPS), tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def local(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the same job gives without an engine."""
    out = tmp_path_factory.mktemp("local") / "out"
    done = run(media, out)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


def command(media: Path, out: Path, *more: str) -> list[str]:
    job = [sys.executable, "-m", "pipelines", "run", "features", "--dataset", "demo", "--clips"]
    job += [str(CLIPS), "--media", str(media), "--out", str(out), "--unit-size", "1"]
    return [*job, "--extractors", "logmel,vggish", *more]


def run(media: Path, out: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(media, out, *more),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=_JOB_S,
        env=os.environ | ONE_THREAD,
    )  # fmt: skip


def test_tables_are_those_of_a_local_run(
    cluster: Cluster, local: Path, media: Path, tmp_path: Path
) -> None:
    done = run(media, tmp_path / "out", *cluster.options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{CLIPS} ({CLIPS} in this run)" in done.stdout
    same_rows(local, tmp_path / "out", TABLES)


def test_killed_worker_loses_and_doubles_nothing(
    cluster: Cluster, local: Path, media: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job = subprocess.Popen(
        command(media, out, *cluster.options),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    standing = kill_one_at_work(cluster, out, job)
    said = job.communicate(timeout=_JOB_S)[1]
    assert 1 <= standing < CLIPS
    if cluster.engine.restarts:
        assert job.returncode == 0, said[-2000:]
    else:
        assert job.returncode == 1, said[-2000:]
        assert "run the same command again" in said
        again = run(media, out, *cluster.options)
        assert again.returncode == 0, again.stderr[-2000:]
    same_rows(local, out, TABLES)
    assert counts(out)["clips_done"] == CLIPS
    assert not list(out.rglob(".tmp-*"))


def kill_one_at_work(cluster: Cluster, out: Path, job: "subprocess.Popen[str]") -> int:
    """Kill a worker once a unit is committed; how many receipts stood by then."""
    deadline = time.monotonic() + _JOB_S
    while not list(out.glob("receipts/*.json")):
        assert job.poll() is None, "the job ended before a unit was done"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    busiest = max(cluster.workers(), key=lambda worker: worker.cpu_times().user)
    os.kill(busiest.pid, signal.SIGKILL)
    return len(list(out.glob("receipts/*.json")))


def test_worker_pool_that_is_not_there(cluster: Cluster, media: Path, tmp_path: Path) -> None:
    options = [one for one in cluster.options if not one.startswith("--environment_config")]
    done = run(media, tmp_path / "out", *options, "--environment_config=localhost:9")
    line = sentence(done, 1)
    assert "the engine gave the job up" in line
    assert "Connection refused" in line
