"""Only regular files are read, and no more of them than they have."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from pipelines.media.regular_file import check_regular, sha256_of
from schemas import KnownError, Reason


def refusal(path: Path) -> KnownError:
    with pytest.raises(KnownError) as caught:
        sha256_of(path)
    return caught.value


def test_sha256_is_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(data := os.urandom(3 * 2**20 + 17))
    (tmp_path / "link.mp4").symlink_to(path)
    assert check_regular(path) == len(data)
    assert sha256_of(path) == sha256_of(tmp_path / "link.mp4") == hashlib.sha256(data).hexdigest()


def test_what_is_no_regular_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("fifo", "device", "socket"):
            error = refusal(tmp_path / name)
            assert error.reason is Reason.UNSAFE_INPUT
            assert f"a {name}" in error.detail.replace("FIFO", "fifo")
    assert "a folder" in refusal(tmp_path).detail


def test_file_that_became_a_fifo_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr("pipelines.media.regular_file.check_regular", lambda path: 0)
    assert refusal(tmp_path / "fifo").reason is Reason.UNSAFE_INPUT


def test_file_without_end_is_read_as_far_as_it_says() -> None:
    assert sha256_of(Path("/proc/self/mem")) == hashlib.sha256().hexdigest()


def test_loop_and_absent_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert refusal(tmp_path / "loop").reason is Reason.CORRUPT
    assert refusal(tmp_path / "nothing").reason is Reason.NOT_FOUND
