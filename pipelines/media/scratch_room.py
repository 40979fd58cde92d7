"""The room that one clip's temporary files may take, so that no clip fills the disk."""

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from schemas import KnownError, Reason

LITTLE_ROOM = 2**30
"""With less room than this, in bytes, a clip that fills it is not to blame."""


@dataclass(frozen=True)
class ScratchRoom:
    """How many bytes a temporary file may have."""

    folder: Path
    most_bytes: int
    little_room: int = LITTLE_ROOM

    @classmethod
    def of(cls, folder: Path, share: float, little_room: int = LITTLE_ROOM) -> "ScratchRoom":
        """Return a share of what is free on the disk of a folder."""
        return cls(folder, max(1, int(shutil.disk_usage(folder).free * share)), little_room)

    def check(self, size: int) -> None:
        """Refuse a file of `size` bytes that has met the limit.

        Raises `KnownError` `too_large`, or the `OSError` of a full disk where there is little room.
        """
        if size < self.most_bytes:
            return
        if self.most_bytes < self.little_room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        raise KnownError(
            Reason.TOO_LARGE,
            f"the clip takes over {self.most_bytes / 1e9:.1f} GB of temporary files, the share of "
            f"one clip in the room of {self.folder.parent}",
        )
