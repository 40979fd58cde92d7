"""Programs that are run: held to their time and memory, and given numbers that they can read."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.media.ffmpeg import MOST_MEMORY, ffmpeg_version, plain_number, run_child
from schemas import KnownError, Reason
from schemas.machine.ffmpeg import ffmpeg_binary


def test_version_is_the_word_behind_the_name() -> None:
    said = subprocess.run([ffmpeg_binary(), "-version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(f"ffmpeg version {ffmpeg_version()} ")


def test_memory_is_that_of_a_film_and_of_a_stack_for_each_core() -> None:
    assert 4 * 1024**3 + (os.cpu_count() or 1) * 64 * 1024**2 == MOST_MEMORY


def test_child_says_its_status_and_writes_its_words_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "cat; echo out; echo err >&2; ps -o sid= -p $$; echo $$; exit 3"
    assert run_child(["sh", "-c", script], timeout_s=20, log=log) == 3
    out, err, session, pid = log.read_text().split()
    assert (out, err) == ("out", "err")
    assert session == pid


def test_child_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    marker = tmp_path / "alive"
    script = f"(sleep 2; touch {marker}) & sleep 30"
    with pytest.raises(KnownError) as caught:
        run_child(["sh", "-c", script], timeout_s=0.3, log=tmp_path / "log")
    assert caught.value.reason is Reason.TIMEOUT
    assert caught.value.detail == "sh ran longer than 0.3 s"
    time.sleep(2.5)
    assert not marker.exists()


def test_child_that_eats_the_memory_fails(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import time; time.sleep(0.2); bytearray(2**29)"
    assert run_child([sys.executable, "-c", script], timeout_s=20, log=log) == 0
    held = run_child([sys.executable, "-c", script], timeout_s=20, log=log, most_memory=2**28)
    assert held != 0
    assert "MemoryError" in log.read_text()


@pytest.mark.parametrize("value", [1e-05, 0.1, 30.0, 1e16, 123456.789012, 5e-324])
def test_numbers_have_no_exponent(value: float) -> None:
    text = plain_number(value)
    assert "e" not in text.lower()
    assert float(text) == value
