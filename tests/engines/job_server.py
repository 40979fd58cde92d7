"""Beam's job servers with an engine inside, fetched with Maven; and a pool of workers for them."""

import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from schemas.published import cache_folder

HERE = Path(__file__).parent
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Environment in which a local job and an engine's workers give the same last digits."""
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_FETCH_S, _START_S, _STOP_S = 600, 120, 10
_OPENED = ("java.lang", "java.lang.invoke", "java.nio", "java.time", "java.util",
           "java.util.concurrent", "sun.nio.ch", "sun.security.action")  # fmt: skip


@dataclass(frozen=True)
class Engine:
    """A job server that brings a small cluster of its engine with it."""

    name: str
    artifact: str
    """The ready-made server; it has Beam's version."""
    main: str
    arguments: tuple[str, ...]
    restarts: bool
    """Whether the cluster tries a task again whose worker died."""


FLINK = Engine(
    name="flink",
    artifact="beam-runners-flink-1.19-job-server",
    main="org.apache.beam.runners.flink.FlinkJobServerDriver",
    arguments=("--flink-master=[local]", f"--flink-conf-dir={HERE / 'flink'}"),
    restarts=True,
)
SPARK = Engine(
    name="spark",
    artifact="beam-runners-spark-3-job-server",
    main="org.apache.beam.runners.spark.SparkJobServerDriver",
    arguments=("--spark-master-url=local[2]",),
    restarts=False,
)


def fetch(engine: Engine) -> tuple[str, str]:
    """Class path of a job server and the version of Beam it is of, from the cache or from Maven.

    The ready-made server is taken where the registry has it, else its parts as the engine's
    `pom.xml` names them. Raises `subprocess.CalledProcessError` where neither is to be had.
    """
    version = importlib.metadata.version("apache-beam")
    folder = cache_folder() / "engines"
    ready = folder / f"{engine.artifact}-{version}.jar"
    parts = folder / engine.name
    if not ready.is_file() and not parts.is_dir():
        coordinates = f"org.apache.beam:{engine.artifact}:{version}"
        with suppress(subprocess.CalledProcessError):
            _maven("copy", f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}")
    if not ready.is_file() and not parts.is_dir():
        unfinished = folder / f"{engine.name}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        pom = HERE / engine.name / "pom.xml"
        _maven("copy-dependencies", "-f", str(pom), f"-DoutputDirectory={unfinished}",
               "-DincludeScope=runtime")  # fmt: skip
        unfinished.rename(parts)
    if ready.is_file():
        return str(ready), version
    (runner,) = parts.glob(f"{engine.artifact.removesuffix('-job-server')}-*.jar")
    return f"{parts}/*", runner.stem.rsplit("-", 1)[1]


def _maven(goal: str, *more: str) -> None:
    subprocess.run(
        ["mvn", "-B", "-q", f"{_COPY}:{goal}", *more],
        check=True, timeout=_FETCH_S, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def serving(engine: Engine, folder: Path) -> Iterator[str]:
    """A job server while the block runs; its address. What it says lies in `folder`."""
    class_path, _ = fetch(engine)
    port = free_port()
    opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED]
    command = [
        "java", "-Xmx2g", *opened, "-cp", class_path, engine.main, *engine.arguments,
        "--job-host=localhost", f"--job-port={port}", "--artifact-port=0", "--expansion-port=0",
        f"--artifacts-dir={folder / 'artifacts'}",
    ]  # fmt: skip
    with _running(command, folder / f"{engine.name}.log", {}) as server:
        _wait_for(port, server)
        yield f"localhost:{port}"


@contextmanager
def worker_pool(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A pool that starts workers when an engine asks; its address and its process."""
    port = free_port()
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main",
               f"--service_port={port}"]  # fmt: skip
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the pool starts `python`
    with _running(command, folder / "pool.log", {"PATH": path, **ONE_THREAD}) as pool:
        _wait_for(port, pool)
        yield f"localhost:{port}", psutil.Process(pool.pid)


@contextmanager
def _running(
    command: list[str], log: Path, more: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program in a group of its own, which ends with the block whatever happens in it."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **more}, start_new_session=True
        )
    try:
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"ended with {process.returncode}: {process.args!r}"
        with suppress(OSError):
            socket.create_connection(("localhost", port), timeout=1).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing at port {port} after {_START_S} s: {process.args!r}")
