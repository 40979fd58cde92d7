"""How much room one clip's temporary files may take."""

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.media.scratch_room import LITTLE_ROOM, ScratchRoom
from schemas import KnownError, Reason


def test_share_is_of_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    assert ScratchRoom.of(tmp_path, 0.25) == ScratchRoom(tmp_path, 250)
    assert ScratchRoom.of(tmp_path, 0.0).most_bytes == 1


def test_file_that_meets_the_limit_is_too_large(tmp_path: Path) -> None:
    room = ScratchRoom(tmp_path / "clip", LITTLE_ROOM)
    room.check(LITTLE_ROOM - 1)
    with pytest.raises(KnownError, match=f"over 1.1 GB .* in the room of {tmp_path}$") as caught:
        room.check(LITTLE_ROOM)
    assert caught.value.reason is Reason.TOO_LARGE


def test_with_little_room_the_disk_is_full(tmp_path: Path) -> None:
    room = ScratchRoom(tmp_path, LITTLE_ROOM - 1)
    room.check(LITTLE_ROOM - 2)
    with pytest.raises(OSError, match="No space left on device") as caught:
        room.check(LITTLE_ROOM - 1)
    assert caught.value.errno == errno.ENOSPC
