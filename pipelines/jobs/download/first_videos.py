"""The first videos of a job: when all meet the same obstacle, the next ones would too.

All workers of a machine count together, in one small file that they lock while they use it.
"""

import fcntl
import json
import os
from pathlib import Path

from pipelines.jobs.download.fetch.obstacles import OBSTACLES
from schemas import JobError

MOST_ALIKE = 20
"""So many videos that fail alike stop a job, before anything else has come of it."""


class FirstVideos:
    """What became of the first videos that the workers of a job tried."""

    def __init__(self, path: Path) -> None:
        """Count in a file that belongs to one run of a job; the first worker makes it."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._over = False

    def note(self, obstacle: str) -> None:
        """Note how a video ended: the name of an obstacle, empty for any other end.

        Raises `JobError` with the remedy when the first 20 all met the same one.
        """
        if self._over:
            return
        ended = self._add(obstacle)
        self._over = not obstacle or len(set(ended)) > 1
        if self._over or len(ended) < MOST_ALIKE:
            return
        found = next(one for one in OBSTACLES if one.name == obstacle)
        raise JobError(
            f"stopped: the first {MOST_ALIKE} videos all failed because {found.detail}; "
            f"{found.remedy}; then run the same command again with --retry all, or with "
            "--keep-going to go on as it is"
        )

    def _add(self, obstacle: str) -> list[str]:
        """Add an end to those of all workers, and return them."""
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            ended: list[str] = [*json.loads(file.read() or "[]"), obstacle]
            file.seek(0)
            file.write(json.dumps(ended))
        return ended
