"""Units of work: slices of the clips that are left to do, small enough to redo after a crash.

A unit travels through Beam's shuffle as a few kilobytes of JSON (ids, labels, path of the file),
never as media. Its name is a hash of its clips and of how often each has been tried, so a replay
of the same unit finds its receipt, and a retry of failed clips makes a new name.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.media.media_index import MediaFile, MediaIndex
from schemas import Clip, Failure, Reason

_MISSING_PER_UNIT = 4096


@dataclass(frozen=True, slots=True)
class ClipTask:
    """One clip to do."""

    clip: Clip
    media: MediaFile | None
    """Its media file; None when the media folder has none."""
    attempt: int
    """1 for the first time."""
    shared_video: bool = False
    """Whether the data set has other clips of the same video."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Clips that are processed and committed together."""

    name: str
    tasks: tuple[ClipTask, ...]

    @classmethod
    def of(cls, tasks: tuple[ClipTask, ...]) -> "Unit":
        """Return a unit with the name that follows from its tasks."""
        digest = hashlib.sha256()
        for task in tasks:
            digest.update(f"{task.clip.key}\t{task.attempt}\n".encode())
        return cls(f"unit-{digest.hexdigest()[:16]}", tasks)

    def encode(self) -> bytes:
        """Return the unit as JSON, which crosses the shuffle."""
        tasks = [_task_to_json(task) for task in self.tasks]
        return json.dumps({"name": self.name, "tasks": tasks}).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Unit":
        """Read a unit back from `encode`."""
        raw = json.loads(data)
        return cls(raw["name"], tuple(_task_from_json(task) for task in raw["tasks"]))


def _task_to_json(task: ClipTask) -> dict[str, Any]:
    return {
        "clip": asdict(task.clip),
        "media": asdict(task.media) if task.media else None,
        "attempt": task.attempt,
        "shared_video": task.shared_video,
    }


def _task_from_json(raw: dict[str, Any]) -> ClipTask:
    clip = Clip(**{**raw["clip"], "labels": tuple(raw["clip"]["labels"])})
    media = MediaFile(**raw["media"]) if raw["media"] else None
    return ClipTask(clip, media, raw["attempt"], raw["shared_video"])


def repeated_videos(clips: Iterable[Clip]) -> frozenset[str]:
    """Return the ids of videos of which the data set has more than one clip."""
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
) -> Iterator[ClipTask]:
    """Yield what is left to do: clips without rows whose failure, if any, has a reason to retry.

    A clip that was not found and still has no file keeps its failure.
    """
    for clip in clips:
        failure = failed.get(clip.key)
        if clip.key in done or (failure and failure.reason not in retry):
            continue
        file = media.find(clip)
        if failure and failure.reason is Reason.NOT_FOUND and file is None:
            continue
        attempt = failure.attempts + 1 if failure else 1
        yield ClipTask(clip, file, attempt, clip.video_id in repeated)


def into_units_by_video(tasks: Iterable[ClipTask], unit_size: int) -> Iterator[Unit]:
    """Group tasks, about `unit_size` per unit; all clips of one video stand together in one.

    Clips of videos that have no other come first, in order.
    """
    unit: list[ClipTask] = []
    shared: dict[str, list[ClipTask]] = {}
    for task in tasks:
        if task.shared_video:
            shared.setdefault(task.clip.video_id, []).append(task)
            continue
        unit.append(task)
        if len(unit) == unit_size:
            yield Unit.of(tuple(unit))
            unit.clear()
    for clips in shared.values():
        if unit and len(unit) + len(clips) > unit_size:
            yield Unit.of(tuple(unit))
            unit.clear()
        unit += clips
    if unit:
        yield Unit.of(tuple(unit))


def into_units(tasks: Iterable[ClipTask], unit_size: int) -> Iterator[Unit]:
    """Group tasks in order, `unit_size` per unit; those without a file apart, 4096 per unit."""
    present: list[ClipTask] = []
    missing: list[ClipTask] = []
    for task in tasks:
        waiting, size = (present, unit_size) if task.media else (missing, _MISSING_PER_UNIT)
        waiting.append(task)
        if len(waiting) == size:
            yield Unit.of(tuple(waiting))
            waiting.clear()
    for waiting in (present, missing):
        if waiting:
            yield Unit.of(tuple(waiting))
