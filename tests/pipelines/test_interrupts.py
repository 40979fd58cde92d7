"""Ctrl-C and SIGTERM at several moments of a job: one line, status 130, and the job goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from pipelines.cli import main
from pipelines.store.interrupts import STOPPED
from tests.complaints import without_log
from tests.pipelines.conftest import Beam, make_clip
from tests.places import ROOT
from tests.stores.compare import counts, same_rows

CLIPS = 6
PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@dataclass
class Job:
    """A features job in a process group of its own, as a terminal starts it."""

    media: Path
    out: Path
    more: tuple[str, ...] = ()
    said: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        words = ["run", "features", "--dataset", "folder", "--media", str(self.media)]
        words += ["--out", str(self.out), "--weights", "seeded", "--extractors", "logmel"]
        return [*words, "--unit-size", "1", *self.more]

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines", *self.words],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def receipts(self) -> int:
        return len(list((self.out / "receipts").glob("*.json")))


def at_start(job: Job) -> bool:
    return True


def while_planning(job: Job) -> bool:
    return (job.out / ".lock").exists()


def in_a_unit(job: Job) -> bool:
    return job.receipts() >= 2


def in_the_last_unit(job: Job) -> bool:
    return job.receipts() >= CLIPS - 1


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for index in range(CLIPS):
        make_clip(folder / f"clip{index}.mp4", 1.0)
    return folder


@pytest.fixture(scope="module")
def undisturbed(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    job = Job(media, tmp_path_factory.mktemp("undisturbed") / "out")
    assert main(job.words) == 0
    return job.out


@pytest.mark.parametrize(
    ("moment", "sign", "more"),
    [
        (at_start, signal.SIGINT, ()),
        (while_planning, signal.SIGTERM, ()),
        (in_a_unit, signal.SIGINT, PROCESSES),
        (in_the_last_unit, signal.SIGTERM, ()),
    ],
)
def test_interrupted_job_says_one_line_and_goes_on(
    moment: Callable[[Job], bool],
    sign: signal.Signals,
    more: tuple[str, ...],
    media: Path,
    undisturbed: Path,
    tmp_path: Path,
    beam: Beam,
) -> None:
    job = Job(media, tmp_path / "out", more)
    with job.start() as process:
        wait_for(lambda: signals_wait(process.pid) and moment(job), process)
        if sign == signal.SIGINT:  # a terminal sends it to every process of the job
            os.killpg(process.pid, sign)
        else:
            process.send_signal(sign)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == ""
    said = without_log(err)
    assert said == [STOPPED]
    assert not (job.out / "manifest.json").exists()
    assert not left_over(job.out)
    again = beam(*job.words)
    assert again.returncode == 0, again.stderr
    assert counts(job.out)["clips_done"] == CLIPS
    same_rows(undisturbed, job.out, ("clips", "snippets", "failures"))


WAITS_IN_ITS_LAST_STEP = """if True:
    import runpy, sys, time
    from pathlib import Path
    from pipelines.store.feature_store import FeatureStore
    step, note = sys.argv.pop(1), Path(sys.argv.pop(1))
    def wait(*arguments, **named):
        note.touch()
        time.sleep(99)
    setattr(FeatureStore, step, wait)
    runpy.run_module("pipelines", run_name="__main__")
"""


@pytest.mark.parametrize("step", ["update_labels", "write_manifest"])
def test_interrupt_in_the_last_step_of_a_job(
    step: str, media: Path, undisturbed: Path, tmp_path: Path, beam: Beam
) -> None:
    job, note = Job(media, tmp_path / "out"), tmp_path / "note"
    with subprocess.Popen(
        [sys.executable, "-c", WAITS_IN_ITS_LAST_STEP, step, note, *job.words],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(note.exists, process)
        assert job.receipts() == CLIPS
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    said = without_log(err)
    assert (out, said) == ("", [STOPPED])
    assert not (job.out / "manifest.json").exists()
    again = beam(*job.words)
    assert again.returncode == 0, again.stderr
    assert counts(job.out) == counts(undisturbed)
    same_rows(undisturbed, job.out, ("clips", "snippets", "failures"))
    assert beam("validate", job.out).returncode == 0


def wait_for(happens: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not happens():
        assert process.poll() is None, "the job ended before the moment came"
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.005)


def signals_wait(pid: int) -> bool:
    """Return whether the process has begun to wait for signals: its first line of Python."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")]
    return bool(int(mask, 16) >> (signal.SIGINT - 1) & 1)


def left_over(out: Path) -> list[list[str]]:
    """Return the command lines of processes that still work on a store."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(str(out) in word for word in words):
            found.append(words)
    return found
