"""Whole files: a write that fails or is interrupted leaves nothing half-written."""

from collections.abc import Callable
from pathlib import Path

import pytest

from models.runtime import files
from schemas import JobError


def broken(error: BaseException) -> Callable[[Path], None]:
    """Return a writer that stops half-way."""

    def write(path: Path) -> None:
        path.write_text("half")
        raise error

    return write


def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    full = broken(OSError(28, "No space left on device"))
    with pytest.raises(JobError, match=r"a\.txt cannot be written \(No space left on device\)"):
        files.write_whole(tmp_path / "out" / "a.txt", full)
    assert not list((tmp_path / "out").iterdir())


def test_interrupted_write_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "before")
    with pytest.raises(KeyboardInterrupt):
        files.write_whole(path, broken(KeyboardInterrupt()))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_file_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".txt")
    files.write_text(path, "text")
    assert path.read_text() == "text"
