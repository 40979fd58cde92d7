"""Whole files: a write that fails or is interrupted leaves nothing half-written."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from models.runtime import files
from schemas import JobError, UsageError


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


def test_cells_of_a_csv_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [["a", "b"], ["x\ry", "1"], ['"', ","], ["\n", "\r\n"], ["", " "], ["$", "音"]]
    files.write_csv(tmp_path / "a.csv", rows)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == rows
    assert (tmp_path / "a.csv").read_bytes().startswith(b'a,b\n"x\ry","1"\n')


def test_folder_that_cannot_be_is_refused_before_the_work(tmp_path: Path) -> None:
    files.refuse_unwritable(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file/out cannot be written, because .*/file cannot; g"):
        files.refuse_unwritable(tmp_path / "file" / "out")
    with pytest.raises(UsageError, match=r"cannot be a folder \(File name too long\)"):
        files.refuse_unwritable(tmp_path / ("x" * 300))
