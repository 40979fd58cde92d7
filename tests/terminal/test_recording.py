"""A job and a training, each stopped by Ctrl-C and gone on with, recorded from a real terminal.

`make recording` types the commands into a tmux session of its own, in a copy of the sources, and
writes what the terminal shows to docs/terminal.md.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.places import ROOT

pytestmark = pytest.mark.recording
PAGE = ROOT / "docs" / "terminal.md"
WIDTH, HEIGHT = 110, 300
PATIENCE_S = 1200.0
CLIPS = 24
JOB = (
    f"beam run features --dataset demo --clips {CLIPS} --classes 4 --difficulty easy \\\n"
    "  --extractors vggish,logmel --out out/first"
)
TRAINING = (
    "python models/train.py fayek_audio --features out/first --epochs 8 --run runs/first \\\n"
    "  --save-every-s 0"
)
PAST_A_UNIT = rf"features ━.* (1[7-9]|2\d)/{CLIPS} "
"""What the bar shows when a unit of 16 clips is on disk and the next one has begun."""
CHECKED = r"(?m)^\d+$"
"""What `echo $?` shows."""

Terminal = Callable[..., str]


def tmux(*words: str) -> str:
    """Run one tmux command on a server of this process and return what it prints."""
    command = ["tmux", "-L", f"earsight-{os.getpid()}", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def shown() -> str:
    """Return what the terminal shows, without what is empty below."""
    return tmux("capture-pane", "-p", "-t", "0").rstrip("\n")


def wait_for(pattern: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not re.search(pattern, shown()):
        assert time.monotonic() < end, f"no {pattern!r} on the terminal:\n{shown()}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Function that types a command, presses Ctrl-C at a progress, returns the cleared screen."""
    if shutil.which("tmux") is None:
        pytest.skip("no tmux here; apt-get install tmux")
    folder = tmp_path_factory.mktemp("terminal")
    for package in ("schemas", "extractors", "pipelines", "models"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    setting = {
        "PS1": "$ ", "PS2": "> ", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder), "HOME": str(folder / "home"), "TERM": "xterm-256color",
    }  # fmt: skip
    shell = ["env", *(f"{key}={value}" for key, value in setting.items()), "bash", "--norc"]
    tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(folder), *shell)

    def typed(command: str, stop: str = "") -> str:
        tmux("send-keys", "-t", "0", "clear", "Enter")
        time.sleep(0.5)
        tmux("send-keys", "-t", "0", "-l", command)
        tmux("send-keys", "-t", "0", "Enter")
        if stop:
            wait_for(stop)
            tmux("send-keys", "-t", "0", "C-c")
        wait_for(r"(?m)^\$ ?\Z")
        tmux("send-keys", "-t", "0", "-l", "echo $?")
        tmux("send-keys", "-t", "0", "Enter")
        wait_for(CHECKED)
        return shown().rstrip("$ \n")

    yield typed
    tmux("kill-server")


def test_a_job_and_a_training_are_stopped_and_go_on(terminal: Terminal) -> None:
    stopped_job = terminal(JOB, stop=PAST_A_UNIT)
    job = terminal(JOB)
    stopped_training = terminal(TRAINING, stop="epoch 3/")
    training = terminal(f"{TRAINING} --resume")
    every = [stopped_job, job, stopped_training, training]
    PAGE.write_text(page(every), encoding="utf-8")
    assert [text.splitlines()[-1] for text in every] == ["130", "0", "130", "0"]
    assert not any("Traceback" in text for text in every)
    assert f"{CLIPS} ({CLIPS - 16} in this run)" in job
    assert "going on in epoch 3" in training


def page(every: list[str]) -> str:
    """Return the page of the site that shows the four screens."""
    stopped_job, job, stopped_training, training = (f"```\n{text}\n```" for text in every)
    return f"""# In the terminal

What a terminal of {WIDTH} columns shows, as `make recording` writes it down: a features job of
{CLIPS} drawn clips and a training, both stopped by Ctrl-C and gone on with. Bars move while they
are there; this is how they stand at the end. The machine did other things meanwhile.

## A job, stopped

The first unit of clips is on disk when Ctrl-C comes.

{stopped_job}

## The same command again

It takes the clips that are done as they are, and makes the others.

{job}

## A training, stopped

{stopped_training}

## Going on

`--resume` begins after the last save.

{training}
"""
