"""Bar, messages and results share one console on a terminal, and each start says so at once."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.logging import RichHandler

from schemas.settings import screen
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


class Stream(io.StringIO):
    """An output that is a terminal or none."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def put(monkeypatch: pytest.MonkeyPatch, out: bool, err: bool) -> tuple[Stream, Stream]:
    """Put streams in place that are terminals or not."""
    streams = Stream(terminal=out), Stream(terminal=err)
    for name, stream in zip(("stdout", "stderr"), streams, strict=True):
        monkeypatch.setattr(sys, name, stream)
    screen._terminal.cache_clear()
    return streams


@pytest.mark.parametrize(
    ("out", "err", "shared"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_console_is_shared_on_a_terminal_alone(
    out: bool, err: bool, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    stdout, stderr = put(monkeypatch, out, err)
    results, messages = screen.results(), screen.messages()
    assert (results is messages) is shared
    results.print("[result] 1")
    messages.print("[message] :smile:")
    assert stderr.getvalue() == ("[result] 1\n" if shared else "") + "[message] :smile:\n"
    assert stdout.getvalue() == ("" if shared else "[result] 1\n")
    assert (results.width == 180) is not out
    assert (messages.width == 180) is not err


def test_sentence_at_the_start_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, said in ((True, "loading ...\n"), (False, "")):
        stdout, stderr = put(monkeypatch, True, terminal)
        screen.say("loading ...")
        assert (stdout.getvalue(), stderr.getvalue()) == ("", said)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("terminal", [True, False])
def test_messages_say_when_they_warn_and_where_it_is_asked_for_the_time(
    timed: bool, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    _, stderr = put(monkeypatch, terminal, terminal)
    handler = screen.message_handler(timed=timed)
    assert isinstance(handler, RichHandler) is terminal
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        handler.handle(logging.LogRecord("x", level, "p", 1, "said [b]%d[/b]", (3,), None))
    lines = [line.rstrip() for line in stderr.getvalue().splitlines()]
    time = r"\d\d:\d\d:\d\d " if timed and not terminal else ""
    for line, prefix in zip(lines, ("", "warning: ", "warning: "), strict=True):
        assert re.fullmatch(time + re.escape(f"{prefix}said [b]3[/b]"), line)
