"""Units of work: slices of the clips that are still to do, small enough to lose without tears.

A unit travels through Beam's shuffle as a few kilobytes of JSON (ids, labels, where the file is),
never as media. Its name is a hash of its clips and of how often each has been tried, so a replay
of the same unit finds its receipt, and a retry of failed clips makes a new name.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipelines.media.find import Found, MediaIndex
from schemas import Clip, Failure, Reason

_MISSING_PER_UNIT = 4096


@dataclass(frozen=True, slots=True)
class Task:
    """One clip to do."""

    clip: Clip
    found: Found | None
    """Its media file; None when the media folder has none."""
    attempt: int
    """1 for the first time."""
    shared_video: bool = False
    """Whether the manifest has other clips of the same video."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Clips that are done and committed together."""

    name: str
    tasks: tuple[Task, ...]

    @classmethod
    def of(cls, tasks: tuple[Task, ...]) -> "Unit":
        """A unit with its name made from its tasks."""
        digest = hashlib.sha256()
        for task in tasks:
            digest.update(f"{task.clip.key}\t{task.attempt}\n".encode())
        return cls(f"unit-{digest.hexdigest()[:16]}", tasks)

    def encode(self) -> bytes:
        """The unit as JSON, what crosses the shuffle."""
        rows = [
            [
                task.clip.video_id, task.clip.start_s, task.clip.end_s, task.clip.split,
                task.clip.labels, task.clip.name, task.found and task.found.uri,
                task.found is not None and task.found.cut, task.attempt, task.shared_video,
            ]
            for task in self.tasks
        ]  # fmt: skip
        return json.dumps([self.name, rows]).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Unit":
        """The unit back from `encode`."""
        name, rows = json.loads(data)
        tasks = tuple(
            Task(
                Clip(video_id, start_s, end_s, split, tuple(labels), key),
                Found(uri, cut) if uri else None,
                attempt,
                shared,
            )
            for video_id, start_s, end_s, split, labels, key, uri, cut, attempt, shared in rows
        )
        return cls(name, tasks)


def repeated_videos(clips: Iterable[Clip]) -> frozenset[str]:
    """Ids of videos of which the manifest has more than one clip."""
    once: set[str] = set()
    again: set[str] = set()
    for clip in clips:
        (again if clip.video_id in once else once).add(clip.video_id)
    return frozenset(again)


def open_tasks(
    clips: Iterable[Clip],
    media: MediaIndex,
    done: frozenset[str],
    failed: Mapping[str, Failure],
    retry: frozenset[Reason],
    repeated: frozenset[str],
) -> Iterator[Task]:
    """What is left to do: clips without rows whose failure, if any, is of a reason to retry.

    A clip that was not found and still has no file stays as it is.
    """
    for clip in clips:
        failure = failed.get(clip.key)
        if clip.key in done or (failure and failure.reason not in retry):
            continue
        found = media.find(clip)
        if failure and failure.reason is Reason.NOT_FOUND and found is None:
            continue
        attempt = failure.attempts + 1 if failure else 1
        yield Task(clip, found, attempt, clip.video_id in repeated)


def into_units(tasks: Iterable[Task], unit_size: int) -> Iterator[Unit]:
    """Tasks in order, `unit_size` to a unit; those without a file apart, by the thousand."""
    present: list[Task] = []
    missing: list[Task] = []
    for task in tasks:
        waiting, size = (present, unit_size) if task.found else (missing, _MISSING_PER_UNIT)
        waiting.append(task)
        if len(waiting) == size:
            yield Unit.of(tuple(waiting))
            waiting.clear()
    for waiting in (present, missing):
        if waiting:
            yield Unit.of(tuple(waiting))
