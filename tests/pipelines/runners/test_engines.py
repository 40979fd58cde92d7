"""One command, any engine: the same tables, and one sentence where an engine cannot be used."""

from pathlib import Path

import pytest

from pipelines.runners.graph import run_pipeline
from pipelines.store.locking import locked
from pipelines.store.units import Unit
from schemas import JobError
from tests.complaints import sentence
from tests.pipelines.conftest import Beam, make_clip
from tests.stores.compare import counts, same_rows

JOB = ("run", "features", "--dataset", "folder", "--weights", "seeded", "--extractors", "logmel")
PORTABLE = ("--runner", "PortableRunner")
NOBODY = "localhost:9"


def test_job_service_gives_the_same_tables(
    media: Path, tmp_path: Path, beam: Beam, loopback: tuple[str, ...]
) -> None:
    make_clip(media / "mute.mp4", 2.0, audio=False)
    make_clip(media / "heard.wav", 1.0, video=False)
    (media / "broken.mp4").write_bytes(b"this is not a film")
    words = (*JOB, "--media", media, "--unit-size", "1")
    assert beam(*words, "--out", tmp_path / "local").returncode == 0
    done = beam(*words, "--out", tmp_path / "out", *loopback)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "3 (3 in this run)" in done.stdout
    same_rows(tmp_path / "local", tmp_path / "out", ("clips", "snippets", "failures"))
    assert counts(tmp_path / "local") == counts(tmp_path / "out")
    again = beam(*words, "--out", tmp_path / "out", *loopback)
    assert "Nothing was left to do" in again.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (PORTABLE, "needs --job_endpoint host:port"),
        ((*PORTABLE, "--job_endpoint", "flink"), "'flink'; it must be host:port"),
        ((*PORTABLE, "--job_endpoint", NOBODY), f"does not answer at --job_endpoint {NOBODY}"),
        (("--runner", "FlinkRunner", "--flink_job_server_jar", "no.jar"), "no.jar is not a file"),
        (("--runner", "SparkRunner", "--spark_job_server_jar", "no.jar"), "no.jar is not a file"),
        (("--runner", "FlinkRunner", "--flink_master", NOBODY), "a Flink cluster does not answer"),
        (
            ("--runner", "SparkRunner", "--spark_master_url", f"spark://{NOBODY}"),
            "a Spark master does not answer",
        ),
        (("--runner", "FlinkRunner", "--job_server_java_launcher", "jawa"), "no program 'jawa'"),
        (("--runner", "FlinkRunner", "--paralellism", "2"), "did you mean --parallelism"),
        (("--runner", "DaskRunner"), "loses data"),
    ],
)
@pytest.mark.parametrize("job", ["features", "download", "everything"])
def test_engine_that_cannot_be_used(
    beam: Beam, job: str, words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    media = ("--dataset", "llp", "--media", tmp_path / "media")
    assert said in sentence(beam("run", job, *media, *words), 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Beam's own image, which has no earsight"),
        (("--environment_type", "EXTERNAL"), "EXTERNAL needs host:port of a worker pool"),
        (("--environment_type", "EXTERNL"), "--environment_type is EXTERNL"),
    ],
)
def test_workers_that_cannot_work(
    beam: Beam, media: Path, loopback: tuple[str, ...], words: tuple[str, ...], said: str
) -> None:
    asked = [word for word in loopback if not word.startswith("--environment_type")]
    assert said in sentence(beam(*JOB, "--media", media, *asked, *words), 2)


def test_retries_of_flink_are_an_option(beam: Beam, media: Path, tmp_path: Path) -> None:
    words = (*JOB, "--media", media, "--out", tmp_path / "out")
    assert beam(*words, "--number_of_execution_retries", "3").returncode == 0
    line = sentence(beam(*words, "--number_of_execution_retries", "x"), 2)
    assert "invalid int value: 'x'" in line


def test_what_a_worker_says_comes_back_over_the_wire(
    beam: Beam,
    media: Path,
    tmp_path: Path,
    loopback: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: object, unit: Unit) -> None:
        raise JobError("no room for tables; make room")

    monkeypatch.setattr("pipelines.jobs.features.worker.UnitWorker.do", full)
    done = beam(*JOB, "--media", media, "--out", tmp_path / "out", *loopback)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: no room for tables; make room"
    assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Pipeline a failed in state FAILED: java.net.ConnectException: refused\n\tat b",
            "the engine gave the job up (java.net.ConnectException: refused)",
        ),
        (
            "failed in state FAILED: spark.Aborted: task 1\n\tat b\nCaused by: c: refused\n\tat d",
            "the engine gave the job up (c: refused)",
        ),
        ("Pipeline a failed in state CANCELLED: ", "was cancelled on its engine"),
        ("Service failed to start up with error 1", "ended at its start with status 1"),
        ("Unable to fetch remote job server jar at https://a: no", "--flink_job_server_jar"),
    ],
)
def test_what_engines_say(text: str, said: str) -> None:
    def build(pipeline: object) -> None:
        raise RuntimeError(text)

    with pytest.raises(JobError, match=r"^[^\n]*$") as error:
        run_pipeline(build, ["--runner=FnApiRunner"])
    assert said in str(error.value)


def test_mistake_in_a_worker_stays_an_exception() -> None:
    text = "failed in state FAILED: Error from SDK harness: Traceback (most recent call last):\n  x"

    def build(pipeline: object) -> None:
        raise RuntimeError(text)

    with pytest.raises(RuntimeError, match="SDK harness"):
        run_pipeline(build, ["--runner=FnApiRunner"])


@pytest.mark.parametrize("job", ["features", "download", "everything"])
@pytest.mark.parametrize("engine", ["local", "processes", "job service"])
def test_second_job_on_one_store_is_refused(
    beam: Beam, media: Path, tmp_path: Path, loopback: tuple[str, ...], job: str, engine: str
) -> None:
    out = tmp_path / "out"
    option = "--out" if job == "features" else "--media"
    words = {
        "features": (*JOB, "--media", media, "--out", out),
        "download": ("run", "download", "--dataset", "folder", "--source", media, "--media", out),
        "everything": ("run", "everything", "--dataset", "folder", "--source", media, "--media",
                       out, "--out", tmp_path / "features", "--weights", "seeded",
                       "--extractors", "logmel"),
    }[job]  # fmt: skip
    more = {
        "local": (),
        "processes": ("--direct_running_mode=multi_processing", "--direct_num_workers=2"),
        "job service": loopback,
    }[engine]
    out.mkdir()
    with locked(str(out)):
        line = sentence(beam(*words, *more), 2)
    assert f"another job is writing to {out}; wait for it or give another {option}" in line
    assert not (out / "manifest.json").exists()
