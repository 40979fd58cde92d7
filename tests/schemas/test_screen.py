"""Bar, messages and results share one console on a terminal, and each start says so at once."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

SHARED = """
import logging
from rich.progress import Progress
from models.runtime.console import console, progress_console
from schemas.settings import screen
logging.basicConfig(level=logging.INFO, handlers=[screen.message_handler()])
with Progress(console=screen.messages(), refresh_per_second=50) as bar:
    task = bar.add_task("counting", total=3)
    for step in range(3):
        bar.advance(task)
        bar.refresh()
        logging.info("logged %d [not markup]", step)
        logging.warning("careful %d", step)
        console().print(f"said {step}")
        with progress_console().status("beside"):
            screen.results().print(f"result {step}")
"""
HEAVY = ("apache_beam", "torch", "cv2", "matplotlib")
FIRST = """
import runpy, sys
from schemas.settings import screen
def say(sentence):
    print(sentence, *[name for name in {heavy!r} if name in sys.modules], sep="|")
    sys.stdout.flush()
    raise SystemExit(7)
screen.say = say
sys.argv = {argv!r}
if sys.argv[0] == "beam":
    from pipelines.cli import main
    main()
else:
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def on_terminal(code: str) -> list[str]:
    """Return the lines that a program writes to a terminal, without escapes."""
    main, other = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=other, stdout=other, stderr=other,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(other)
    said = b""
    try:
        while piece := os.read(main, 65536):
            said += piece
    except OSError:  # the other end is closed
        pass
    assert child.wait() == 0, said.decode()
    os.close(main)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain)]


def test_nothing_is_written_into_the_line_of_the_bar() -> None:
    lines = on_terminal(SHARED)
    for step in range(3):
        for said in ("logged {} [not markup]", "warning: careful {}", "said {}", "result {}"):
            assert lines.count(said.format(step)) == 1, lines
    assert any(line.startswith("counting") for line in lines)


def test_without_a_terminal_lines_go_to_their_own_streams(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHARED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "logged 0 [not markup]\nwarning: careful 0\n" in done.stderr
    assert {f"said {step}" for step in range(3)} <= set(done.stdout.splitlines())


@pytest.mark.parametrize(
    "command",
    [
        "beam run features", "beam run download --dataset llp", "beam run everything",
        "beam run pack --out x", "beam validate x", "beam report x", "beam plan", "beam check",
        "beam import-npy --annotations x", "models/train.py han --features x",
        "models/predict.py --run x y.wav", "models/evaluate.py --run x", "models/report.py x",
        "models/localise.py --run x y.mp4 --label z", "models/separate.py --run x y.wav",
        "models/analysis.py --run x",
    ],
)  # fmt: skip
def test_line_comes_before_what_takes_seconds(command: str) -> None:
    code = FIRST.format(heavy=HEAVY, argv=command.split())
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr
    said, *imported = done.stdout.strip().split("|")
    assert re.search(r": loading (Beam|PyTorch) \.\.\.$", said)
    assert not imported
