"""Programs that are run: held to their time and memory, and given numbers that they can read."""

import sys
import time
from pathlib import Path

import pytest

from pipelines.media.ffmpeg import plain_number, run_child
from schemas import KnownError, Reason


def test_child_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    marker = tmp_path / "alive"
    script = f"(sleep 2; touch {marker}) & sleep 30"
    with pytest.raises(KnownError) as caught:
        run_child(["sh", "-c", script], timeout_s=0.3, log=tmp_path / "log")
    assert caught.value.reason is Reason.TIMEOUT
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
