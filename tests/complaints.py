"""The one way to catch a complaint: run a command here, read the sentence that it ends with."""

import io
import re
import subprocess
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import pytest

from schemas import UsageError
from schemas.messages import ERROR_PREFIX

Done = subprocess.CompletedProcess[str]


def run_here(main: Callable[[list[str]], int], *words: object) -> Done:
    """Run a command in this process (imports cost seconds); return status and what it printed."""
    arguments = [str(word) for word in words]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def sentence(done: Done, status: int = 2) -> str:
    """Return the one line with the error prefix, without it; there is no traceback anywhere."""
    assert done.returncode == status, done.stderr[-1500:]
    assert "Traceback" not in done.stderr + done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(ERROR_PREFIX)]
    return line.removeprefix(ERROR_PREFIX)


def refusal(ask: Callable[[], object]) -> str:
    """Return the sentence of the `UsageError` with which a call ends."""
    with pytest.raises(UsageError) as caught:
        ask()
    message = str(caught.value)
    assert "\n" not in message
    return message


def without_log(said: str) -> list[str]:
    """Return the lines of a job's screen without its log, whose entries begin with the time."""
    entry = re.compile(r"\d\d:\d\d:\d\d | ")  # or go on indented
    return [line for line in said.splitlines() if not entry.match(line)]
