"""Identities with cookies are in the hands of one worker of a machine at a time.

A site that renews cookies takes the old ones back, so two that work with the same would lock each
other out.
"""

import fcntl
import os
from pathlib import Path


class IdentityLock:
    """A lock on an identity, which goes with the process that holds it, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def take(self) -> bool:
        """Take the lock; False where somebody else holds it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def give_back(self) -> None:
        """Let others have it; nothing where it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
