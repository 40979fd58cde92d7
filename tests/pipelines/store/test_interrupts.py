"""What a signal does: one line, status 130, children gone, releases made, nothing committed."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.store import interrupts
from pipelines.store.interrupts import (
    STOPPED,
    released_on_signals,
    said_on_signals,
    wait_if_ending,
)
from tests.places import ROOT

START = "from pipelines.store import interrupts\nfrom pipelines.store.interrupts import *\n"


def start(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start Python code that prints a line when it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + code, *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_busy_main_thread_and_stubborn_children_end_at_once() -> None:
    code = """if True:
        import subprocess, sys
        end_on_signals()
        stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(99)"
        child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
        print("ready", flush=True)
        print(child.pid, flush=True)
        while True:
            pass
    """
    with start(code) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", f"{STOPPED}\n")
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_is_held_is_released_and_nothing_is_written_any_more(tmp_path: Path) -> None:
    code = """if True:
        import sys, threading, time
        from pathlib import Path
        from pipelines.store import files
        folder = Path(sys.argv[1])
        def write():
            interrupts._ending.wait()
            files.write(str(folder / "late"), b"x")
        def release():
            time.sleep(0.5)
            (folder / "released").touch()
        for _ in range(8):  # as those of a library: the system may give the signal to them
            threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
        end_on_signals()
        threading.Thread(target=write, daemon=True).start()
        with released_on_signals(release), said_on_signals("other words"):
            print("ready", flush=True)
            time.sleep(99)
    """
    with start(code, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "other words\n")
    assert (tmp_path / "released").exists()
    assert not (tmp_path / "late").exists()


def test_signal_that_was_ignored_from_the_start_stays_ignored() -> None:
    code = """if True:
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_on_signals()
        print("ready", flush=True)
        time.sleep(1)
    """
    with start(code) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_cursor_that_a_bar_has_hidden_is_shown_again() -> None:
    code = "end_on_signals(); print('ready', flush=True); import time; time.sleep(99)"
    main, other = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", START + code], cwd=ROOT, stdout=subprocess.PIPE, stderr=other
    ) as process:
        os.close(other)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 130
    assert os.read(main, 999).decode().startswith(f"\r\x1b[?25h\x1b[K{STOPPED}")
    os.close(main)


@pytest.mark.parametrize(
    ("hold", "held"),
    [(released_on_signals, interrupts._releases), (said_on_signals, interrupts._sentences)],
)
def test_what_is_held_is_held_for_the_block_alone(
    hold: Callable[[Any], AbstractContextManager[None]], held: list[Any]
) -> None:
    before = list(held)
    one: Any = "words" if hold is said_on_signals else print

    def block() -> None:
        with hold(one):
            assert held == [*before, one]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        block()
    assert held == before


def test_releases_are_made_last_first_and_none_hinders_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []

    def fail() -> None:
        made.append(2)
        raise RuntimeError

    monkeypatch.setattr(interrupts, "_released", threading.Event())
    monkeypatch.setattr(interrupts, "_releases", [lambda: made.append(1), fail])
    interrupts._release_all()
    assert made == [2, 1]
    assert interrupts._released.is_set()


def test_nothing_waits_where_no_signal_came() -> None:
    assert not interrupts._ending.is_set()
    wait_if_ending()
