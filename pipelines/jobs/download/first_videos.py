"""The first videos of a job: when all meet the same obstacle, the next ones would too."""

import threading

from pipelines.jobs.download.fetch.obstacles import OBSTACLES
from schemas import JobError

MOST_ALIKE = 20
"""So many videos that fail alike stop a job, before anything else has come of it."""


class FirstVideos:
    """What became of the first videos that a worker tried."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._name, self._count, self._over = "", 0, False

    def note(self, obstacle: str) -> None:
        """Note how a video ended: the name of an obstacle, empty for any other end.

        Raises `JobError` with the remedy when the first 20 all met the same one.
        """
        with self._lock:
            if self._over:
                return
            self._over = not obstacle or self._name not in ("", obstacle)
            self._name, self._count = obstacle, self._count + 1
            if self._over or self._count < MOST_ALIKE:
                return
        found = next(one for one in OBSTACLES if one.name == obstacle)
        raise JobError(
            f"stopped: the first {MOST_ALIKE} videos all failed because {found.detail}; "
            f"{found.remedy}; then run the same command again with --retry all, or with "
            "--keep-going to go on as it is"
        )
