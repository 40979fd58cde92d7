"""A process that answers: it is killed, it dies, and the next request finds a new one."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.media.child_process import ChildDiedError, ChildProcess, ChildTimeoutError
from schemas import JobError
from tests.places import ROOT

MODULE = """
import os, resource, signal, subprocess, sys, time
from pipelines.media.child_process import answer_requests

def answer(line):
    if line == b"hang":
        time.sleep(600)
    if line == b"crash":
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if line == b"eat":
        try:
            bytearray(2**30)
        except MemoryError:
            return b"hungry"
    if line == b"print":
        print("noise")
    if line.startswith(b"say "):
        print(line.decode(), file=sys.stderr, flush=True)
        os._exit(3)
    if line == b"spawn":
        return b"spawned %d" % subprocess.Popen(["sleep", "600"], start_new_session=True).pid
    if line == b"limits":
        core, data = map(resource.getrlimit, (resource.RLIMIT_CORE, resource.RLIMIT_DATA))
        return repr((core, data, os.getsid(0) == os.getpid(), prepared)).encode()
    return line + b" %d" % os.getpid()

prepared = []
answer_requests(answer, 2**29, lambda: prepared.append(len(sys.argv)))
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    (tmp_path / "echoing.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    child = ChildProcess("echoing")
    yield child
    child.close()


def pid(answer: bytes) -> int:
    return int(answer.split()[1])


def wait_for_the_end_of(process: int) -> None:
    ends = time.monotonic() + 20
    while psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_one_process_answers_all(child: ChildProcess) -> None:
    assert not child.running
    first = child.ask(b"a", 20)
    assert first.startswith(b"a ")
    assert pid(child.ask(b"b", 20)) == pid(first) != os.getpid()


def test_process_that_hangs_is_killed_and_started_again(child: ChildProcess) -> None:
    first = pid(child.ask(b"a", 20))
    with pytest.raises(ChildTimeoutError, match=r"no answer after 0\.2 s"):
        child.ask(b"hang", 0.2)
    assert not psutil.pid_exists(first)
    assert pid(child.ask(b"b", 20)) != first


def test_process_that_crashes_says_how_and_is_started_again(child: ChildProcess) -> None:
    with pytest.raises(ChildDiedError, match="ended with status -11: last words"):
        child.ask(b"crash", 20)
    assert child.ask(b"b", 20).startswith(b"b ")


def test_last_words_are_those_of_the_process_that_died_and_not_many(child: ChildProcess) -> None:
    for word in ("first", "x" * 400, "last"):
        with pytest.raises(ChildDiedError) as died:
            child.ask(f"say {word}".encode(), 20)
        assert str(died.value) == f"ended with status 3: {f'say {word}'[:300]}"
        assert not child.running


def test_process_is_limited_prepared_and_leads_its_own_session(child: ChildProcess) -> None:
    limits = ((0, 0), (2**29, 2**29), True, [1])
    assert child.ask(b"limits", 20) == repr(limits).encode()
    assert child.running


def test_what_the_process_started_ends_with_it(child: ChildProcess) -> None:
    spawned = pid(child.ask(b"spawn", 20))
    child.close()
    child.close()  # once more does no harm
    assert not child.running
    wait_for_the_end_of(spawned)


def test_memory_is_bounded(child: ChildProcess) -> None:
    assert child.ask(b"eat", 20) == b"hungry"


def test_what_a_library_prints_is_no_answer(child: ChildProcess) -> None:
    assert child.ask(b"print", 20).startswith(b"print ")


def test_process_ends_when_its_line_is_closed(child: ChildProcess) -> None:
    process = psutil.Process(pid(child.ask(b"a", 20)))
    assert child._process is not None
    assert child._process.stdin is not None
    child._process.stdin.close()
    assert process.wait(10) == 0


@pytest.mark.parametrize("last", [b"b\n", b"hang\n"])
def test_process_ends_with_its_parent(last: bytes, tmp_path: Path) -> None:
    (tmp_path / "echoing.py").write_text(MODULE)
    script = (
        "import os, sys; from pipelines.media.child_process import ChildProcess\n"
        "child = ChildProcess('echoing'); print(child.ask(b'a', 60).decode(), flush=True)\n"
        "print(child.ask(b'spawn', 60).decode(), flush=True)\n"
        f"child._process.stdin.write({last!r})\n"
        "child._process.stdin.flush()\n"
        "os.kill(os.getpid(), 9)"
    )
    parent = psutil.Popen(
        [sys.executable, "-c", script],
        stdout=-1,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
    )
    said = parent.communicate()[0].split()
    for left in (said[1], said[3]):
        wait_for_the_end_of(int(left))


def test_module_that_does_not_start_stops_the_job() -> None:
    child = ChildProcess("nothing_of_this_name")
    with pytest.raises(JobError, match=r"nothing_of_this_name does not start: ended with status 1"):
        child.ask(b"a", 1)
