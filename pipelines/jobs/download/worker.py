"""The work on one unit of the download, without Beam: wait, fetch, store, commit."""

import importlib.metadata
import logging
import random
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError

from pipelines.jobs.clip_failure import failure_of
from pipelines.jobs.download.fetch.addresses import (
    check_name,
    mirror_address,
    mirror_extent,
    youtube_address,
)
from pipelines.jobs.download.fetch.messages import FetchRequest, FetchResult, MediaExtent
from pipelines.jobs.download.first_videos import FirstVideos
from pipelines.jobs.download.identity import Identity
from pipelines.jobs.download.job import WITHOUT_START_TIMES, DownloadJob
from pipelines.jobs.download.pool import ProcessPool, Visit
from pipelines.jobs.download.rate_limit import BLOCKING_REASONS, Deferred, RateLimiter
from pipelines.jobs.download.ytdlp_version import search_path
from pipelines.media.ffmpeg import ffmpeg_version
from pipelines.store import files
from pipelines.store.media_store import Outcome
from pipelines.store.progress import ProgressFile
from pipelines.store.receipts import Receipt
from pipelines.store.units import ClipTask, Unit
from schemas import Failure, JobError, KnownError, Reason, UsageError
from schemas.machine.clock import utc_stamp

_log = logging.getLogger(__name__)
_PASSING_REASONS = (Reason.NETWORK, Reason.TIMEOUT)
_OF_VIDEO = (
    Reason.GONE, Reason.PRIVATE, Reason.GEO_BLOCKED, Reason.AGE_RESTRICTED, Reason.NOT_FOUND,
    Reason.FORMAT,
)  # fmt: skip
"""What a site says of a video, so that its other clips need not be asked for."""
_MOST_REFUSALS = 5
"""A clip that is refused this often in one run ends as a failure that may pass."""
_DISK_FULL = "No space left on device"


class UnitFetcher:
    """Fetch the units of one store, several clips at the same time."""

    def __init__(self, job: DownloadJob) -> None:
        self._job, self._store = job, job.store()
        local, kind = files.is_local(job.media), job.source_kind
        try:
            ahead = search_path(job.yt_dlp)
        except UsageError as error:  # on another machine than the one that began the job
            raise JobError(str(error)) from None
        self._pool = ProcessPool(job.parallel, job.media if local else None, kind, ahead=ahead)
        self._limiter = RateLimiter(job.identities, job.rate_policy) if kind != "files" else None
        self._progress = ProgressFile(job.media)
        counted = kind == "youtube" and not job.keep_going
        self._first_videos = FirstVideos(job.first_videos) if counted else None
        self._lock = threading.Lock()
        self._tools = {
            "yt-dlp": job.yt_dlp or importlib.metadata.version("yt-dlp"),
            "ffmpeg": ffmpeg_version(),
        }  # fmt: skip

    def do(self, unit: Unit) -> Receipt:
        """Fetch and commit a unit; return the receipt at once when it is committed already."""
        receipt = self._store.receipt(unit.name)
        if receipt is not None:
            return receipt
        started = time.perf_counter()
        outcomes = {outcome.key: outcome for outcome in self._store.read_journal(unit.name)}
        left = [task for task in unit.tasks if task.clip.key not in outcomes]
        with ThreadPoolExecutor(self._job.parallel) as threads:
            videos = group_by_video(left) if self._job.fetches_videos else [[task] for task in left]
            for found in threads.map(lambda tasks: self._do_video(unit, tasks), videos):
                outcomes |= {outcome.key: outcome for outcome in found}
        ordered = [outcomes[task.clip.key] for task in unit.tasks]
        receipt = self._store.commit_outcomes(
            unit.name, ordered, time.perf_counter() - started, self._tools
        )
        _log.info(
            "%s: %d clips fetched, %d failed, %.1f s",
            unit.name, len(receipt.done), len(receipt.failed), time.perf_counter() - started,
        )  # fmt: skip
        return receipt

    def close(self) -> None:
        """End the fetching processes."""
        self._pool.close()

    def _do_video(self, unit: Unit, tasks: Sequence[ClipTask]) -> list[Outcome]:
        """Fetch the clips of one video, which is asked for once."""
        with self._pool.visit(len(tasks)) as visit, closing(visit):
            outcomes = [self._do_clip(unit, task, visit) for task in tasks]
        if self._first_videos is not None:
            self._first_videos.note(visit.obstacle)
        return outcomes

    def _do_clip(self, unit: Unit, task: ClipTask, visit: Visit) -> Outcome:
        """Fetch one clip; its outcome is in the journal when this returns."""
        try:
            outcome = self._outcome(task, visit)
            self._store.append_journal(unit.name, outcome, self._lock)
        except OSError as error:
            raise JobError(self._no_room(error.strerror or str(error))) from error
        self._progress.count()
        return outcome

    def _outcome(self, task: ClipTask, visit: Visit) -> Outcome:
        try:
            check_name(task.clip.key)
            return self._try_until_done(task, visit, *self._locate(task))
        except OSError:
            raise  # the disk's trouble rather than the clip's
        except Exception as error:  # noqa: BLE001 no clip ends a job
            return Outcome(task.clip.key, task.attempt, failure=failure_of(task, "request", error))

    def _try_until_done(
        self, task: ClipTask, visit: Visit, location: str, extent: MediaExtent
    ) -> Outcome:
        """Try until the clip is here, the failure is its own, or the tries are used up."""
        if visit.refusal is not None:
            return _failed(task, visit.refusal)
        tried = refused = 0
        result: FetchResult | None = None
        while True:
            deferred = self._ask_leave(visit)
            if deferred is not None:
                detail = result.detail if result is not None else deferred.detail
                return _failed(task, _waited(task, deferred.reason, detail))
            outcome, result = self._try(visit, task, location, extent)
            self._go_on(visit, result)
            if outcome is not None:
                return outcome
            reason = Reason(result.reason)
            tried += reason in _PASSING_REASONS
            refused += reason in BLOCKING_REASONS
            again = (reason in _PASSING_REASONS and tried < self._job.tries) or (
                reason in BLOCKING_REASONS and refused < _MOST_REFUSALS
            )
            if not again or self._limiter is None:
                return _failed(task, result)
            if reason in _PASSING_REASONS:
                pause_s = self._job.first_pause_s * 2 ** (tried - 1)
                time.sleep(pause_s * random.uniform(0.5, 1.5))

    def _ask_leave(self, visit: Visit) -> Deferred | None:
        """Wait for a permit to ask for the video, unless the process has it already."""
        if visit.kept:
            return None
        visit.close()
        visit.process.be_ready()
        if self._limiter is not None:
            permit = self._limiter.acquire()
            if isinstance(permit, Deferred):
                return permit
            visit.permit = permit
        return None

    def _go_on(self, visit: Visit, result: FetchResult) -> None:
        """Note what came of a try, for the permit and for the other clips of the video."""
        reason = Reason(result.reason) if result.reason else None
        if self._limiter is not None and visit.permit is not None and not visit.kept:
            self._limiter.release(visit.permit, reason, result.retry_after_s)
        visit.kept, visit.obstacle = result.kept, result.obstacle
        if reason in _OF_VIDEO and result.step == "fetch":
            visit.refusal = result

    def _try(
        self, visit: Visit, task: ClipTask, location: str, extent: MediaExtent
    ) -> tuple[Outcome | None, FetchResult]:
        """Try once; the outcome is None when the clip did not arrive."""
        identity = visit.permit.identity if visit.permit else None
        with self._pool.work_folder() as folder:
            request = self._request(task, location, extent, identity, folder)
            shared = str(visit.folder) if visit.folder else ""
            result = visit.process.ask(replace(request, shared_folder=shared))
            if _DISK_FULL in result.detail:
                raise JobError(self._no_room(_DISK_FULL))
            if result.facts is None:
                _log.debug("%s: %s: %s", task.clip.key, result.reason, result.detail)
                return None, result
            self._store.put(task.clip.key, Path(result.path))
        clip = task.clip
        row = {
            "clip_key": clip.key, "video_id": clip.video_id, "start_s": clip.start_s,
            "end_s": clip.end_s, **result.facts,
            "identity": identity.name if identity else None,
            "ffmpeg": self._tools["ffmpeg"], "fetched_at": utc_stamp(),
        }  # fmt: skip
        return Outcome(clip.key, task.attempt, row), result

    def _locate(self, task: ClipTask) -> tuple[str, MediaExtent]:
        """Return address or location of a clip, and what is there; `KnownError` without one."""
        job, clip = self._job, task.clip
        if job.source_kind == "youtube":
            return youtube_address(clip.video_id), "video"
        fixed: MediaExtent | None = "clip" if job.dataset in WITHOUT_START_TIMES else None
        if job.source_kind == "mirror":
            return mirror_address(job.source, clip), fixed or mirror_extent(job.source)
        if task.media is None:
            raise KnownError(Reason.NOT_FOUND, f"no {clip.key} or {clip.video_id} in {job.source}")
        return task.media.uri, fixed or ("clip" if task.media.cut else "either")

    def _request(
        self,
        task: ClipTask,
        location: str,
        extent: MediaExtent,
        identity: Identity | None,
        folder: Path,
    ) -> FetchRequest:
        job, clip, root = self._job, task.clip, self._job.source
        if job.source_kind == "files" and not files.is_local(job.source):
            copy = folder / "bucket.media"
            try:
                copy.write_bytes(files.read(location))
            except (OSError, BeamIOError) as error:
                raise KnownError(Reason.NETWORK, f"{location} cannot be read: {error}") from None
            location, root = str(copy), str(folder)
        return FetchRequest(
            key=clip.key, video_id=clip.video_id, start_s=clip.start_s, end_s=clip.end_s,
            source=job.source_kind, location=location, extent=extent, folder=str(folder),
            limits=job.limits, shared_video=task.shared_video, hosts=job.hosts, root=root,
            site_args=job.site_args, allow_playlists=job.allow_playlists,
            cookies=identity.cookies if identity else None,
            kept_cookies=self._kept_cookies(identity), impersonate=job.impersonate, sabr=job.sabr,
            proxy=identity.proxy if identity else None,
            user_agent=identity.user_agent if identity else None,
        )  # fmt: skip

    def _kept_cookies(self, identity: Identity | None) -> str | None:
        if self._limiter is None or identity is None or identity.cookies is None:
            return None
        return str(self._limiter.cookies_file(identity))

    def _no_room(self, why: str) -> str:
        return (
            f"cannot write media to {self._job.media} ({why}); make room or choose another "
            "--media, then run the same command again: what is finished is kept"
        )


def group_by_video(tasks: Iterable[ClipTask]) -> list[list[ClipTask]]:
    """Return the tasks of each video, in the order of its first."""
    groups: dict[str, list[ClipTask]] = {}
    for task in tasks:
        groups.setdefault(task.clip.video_id, []).append(task)
    return list(groups.values())


def _waited(task: ClipTask, reason: Reason, detail: str) -> FetchResult:
    return FetchResult(key=task.clip.key, step="wait", reason=reason, detail=detail)


def _failed(task: ClipTask, result: FetchResult) -> Outcome:
    failure = Failure(
        task.clip.key, result.step, Reason(result.reason), result.detail, task.attempt, utc_stamp()
    )
    return Outcome(task.clip.key, task.attempt, failure=failure)
