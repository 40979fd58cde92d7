"""The progress bar: a byte for each clip, and nothing where there is no terminal."""

import io
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.store import progress
from pipelines.store.progress import PROGRESS_FILE, Progress, ProgressFile
from schemas.settings import screen


def test_a_byte_is_written_for_each_clip_in_a_local_store(tmp_path: Path) -> None:
    file = ProgressFile(str(tmp_path))
    file.count()
    file.count(3)
    assert (tmp_path / PROGRESS_FILE).stat().st_size == 4
    ProgressFile("gs://bucket/out").count()
    ProgressFile(str(tmp_path / "nothing")).count()  # costs nothing but the bar


def test_bar_follows_the_file_and_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown_as = io.StringIO()
    console = Console(file=shown_as, force_terminal=True, width=100)
    monkeypatch.setattr(screen, "messages", lambda: console)
    monkeypatch.setattr(progress, "_EVERY_S", 0.02)
    ProgressFile(str(tmp_path)).count(7)  # of a job before
    with Progress(str(tmp_path), "features", lambda: 12) as shown:
        assert not (tmp_path / PROGRESS_FILE).exists()
        ProgressFile(str(tmp_path)).count(5)
        wait_for(lambda: shown._bar.tasks and shown._bar.tasks[0].completed == 5)
        ProgressFile(str(tmp_path)).count(6)
    assert shown._bar.tasks[0].completed == 11
    assert shown._bar.tasks[0].total == 12
    assert "features" in shown_as.getvalue()
    assert "11/12" in shown_as.getvalue()
    assert not (tmp_path / PROGRESS_FILE).exists()
    assert shown._thread.daemon


def wait_for(happens: object) -> None:
    deadline = time.monotonic() + 20
    assert callable(happens)
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("store", ["", "gs://bucket/out"])
def test_nothing_is_shown_without_a_terminal_or_a_local_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    shown_as = io.StringIO()
    console = Console(file=shown_as, force_terminal=bool(store))
    monkeypatch.setattr(screen, "messages", lambda: console)
    before = threading.active_count()
    if not store:
        (tmp_path / PROGRESS_FILE).write_bytes(b"...")
    with Progress(store or str(tmp_path), "features", lambda: 1 // 0):
        assert threading.active_count() == before
        if not store:
            assert not (tmp_path / PROGRESS_FILE).exists()
            ProgressFile(str(tmp_path)).count()
    assert shown_as.getvalue() == ""
    assert not (tmp_path / PROGRESS_FILE).exists()
