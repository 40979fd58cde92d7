"""Signals: a command on media ends with one line and status 130, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import psutil
import pytest

from models.runtime.interrupts import interruptible
from tests.places import ROOT


def imports_packages(process: psutil.Process) -> bool:
    """Return whether a command is importing packages."""
    return any("numpy" in mapped.path for mapped in process.memory_maps())


def runs_a_job(process: psutil.Process) -> bool:
    """Return whether a command has started its features job."""
    return any("pipelines" in child.cmdline() for child in process.children())


@pytest.mark.parametrize(
    ("moment", "sign"), [(imports_packages, signal.SIGINT), (runs_a_job, signal.SIGTERM)]
)
def test_command_ends_with_one_line_and_leaves_nothing(
    moment: Callable[[psutil.Process], bool], sign: signal.Signals,
    parsing_run: Path, film: Path, tmp_path: Path,
) -> None:  # fmt: skip
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    program = (sys.executable, ROOT / "models" / "predict.py", film)
    command = subprocess.Popen(
        [*map(str, program), "--run", str(parsing_run), "--out", str(out)],
        env=os.environ | {"TMPDIR": str(scratch)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    process = psutil.Process(command.pid)
    while not moment(process):
        assert command.poll() is None
        time.sleep(0.05)
    started = process.children(recursive=True)
    command.send_signal(sign)
    *before, last = command.communicate(timeout=60)[0].splitlines()
    assert last == "stopped"
    assert len(before) <= 1
    assert all("trained on features from random weights" in line for line in before)
    assert command.returncode == 130
    assert list(scratch.iterdir()) == []
    assert not out.exists()
    _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []


def test_every_command_has_the_same_block_before_its_imports() -> None:
    blocks = {}
    for path in (ROOT / "models").glob("*.py"):
        source = path.read_text()
        if "cli.run(main" in source:
            _, lines = source.split('\nif __name__ == "__main__":  # import', 1)
            body = takewhile(lambda line: line[:1] in ("", " "), lines.split("\n")[1:])
            blocks[path.stem] = "\n".join(body)
    assert {"train", "evaluate", "predict", "separate", "localise"} < blocks.keys()
    assert all(block == blocks["predict"] for block in blocks.values())
    assert blocks["predict"].count("exit_at_once()") == 1


def test_cleaning_up_is_not_interrupted_again() -> None:
    cleaned = False

    def work() -> None:
        nonlocal cleaned
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            cleaned = True

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) is before


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
