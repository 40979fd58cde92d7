"""Features of new media: the job's own sentence, files without features, an interrupted job."""

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from models import predict
from models.applications import new_media
from models.runtime.interrupts import interruptible
from schemas import JobError
from tests.models.commands import refused


def test_without_a_temporary_folder_it_says_what_to_do(
    parsing_run: Path, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    run = new_media.open_run(parsing_run)
    sentence = r"^no temporary folder can be made \(No such file or directory\); set TMPDIR"
    with pytest.raises(JobError, match=sentence), new_media.new_features([film], run):
        pass


def test_when_no_file_gives_features_the_first_says_why(
    components_run: Path, tmp_path: Path
) -> None:
    broken = [tmp_path / "a.wav", tmp_path / "b.mp4"]
    for path in broken:
        path.write_bytes(b"this is no media" * 100)
    run = new_media.open_run(components_run)
    sentence = rf"^{broken[0]} gave no features: \w+ \(.+\) \(and 1 more files gave none\)$"
    with pytest.raises(JobError, match=sentence), new_media.new_features(broken, run):
        pass


def test_job_without_a_sentence_gives_its_status_and_last_line() -> None:
    error = new_media.job_error(-9, "first\n\nlast\n")
    assert isinstance(error, JobError)
    assert str(error) == "the features job says: it ended with status -9: last"


def test_job_that_is_interrupted_ends_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    child = "import time; time.sleep(60)"
    code = (
        "import os, pathlib, subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        f"path = pathlib.Path({str(pids)!r} + '.new'); "
        "path.write_text(f'{os.getpid()} {child.pid}'); "
        f"path.rename({str(pids)!r}); time.sleep(60)"
    )

    def interrupt() -> None:
        while not pids.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt), interruptible():
        new_media.run_job([sys.executable, "-c", code])
    thread.join()
    deadline = time.monotonic() + 20
    while any(map(alive, pids.read_text().split())):  # a kill is not done at once
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: str) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_without_a_class_in_it_the_best_one_is_named(components_run: Path) -> None:
    run = new_media.open_run(components_run)
    nothing = np.array([0.0, 0.001, 0.0, 0.0], np.float32)
    with pytest.raises(JobError, match=r"detects none of its 4 classes in a\.wav; name"):
        new_media.detected_labels(run, nothing, "a.wav")


def test_names_in_complaints_are_printable(parsing_run: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\x1b[31m\xff\n$") + "x" * 3000
    for arguments in ((tmp_path / name, "--run", parsing_run), ("a.wav", "--run", name)):
        complaint = refused(predict.main, *arguments)
        assert complaint.isprintable()
        assert len(complaint) < 2100
