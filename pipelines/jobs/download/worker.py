"""The work on one unit of the download, without Beam: ask, wait, get, keep, commit."""

import importlib.metadata
import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from apache_beam.io.filesystem import BeamIOError

from pipelines.jobs.download.fetch.messages import (
    Part,
    Request,
    check_name,
    mirror_address,
    mirror_part,
    youtube_address,
)
from pipelines.jobs.download.fetch.process import Answer
from pipelines.jobs.download.job import NO_STARTS, DownloadJob
from pipelines.jobs.download.pool import Child, Pool
from pipelines.jobs.download.rate_limit import HELD_BACK, Gate, HandBack, Leave
from pipelines.media.ffmpeg import ffmpeg_version
from pipelines.store import files
from pipelines.store.media_store import Outcome
from pipelines.store.progress import ProgressFile
from pipelines.store.receipts import Receipt
from pipelines.store.units import ClipTask, Unit
from schemas import Failure, JobError, KnownError, Reason
from schemas.clock import utc_stamp

_log = logging.getLogger(__name__)
_TRIED_AGAIN = (Reason.NETWORK, Reason.TIMEOUT)
_MOST_REFUSALS = 5
"""A clip that is refused so often in one run ends as a failure that may pass."""
_FIRST_PAUSE_S = 1.0
_FULL = "No space left on device"


class UnitFetcher:
    """Does units for one store, several clips side by side."""

    def __init__(self, job: DownloadJob) -> None:
        self._job, self._store = job, job.store()
        local = files.is_local(job.media)
        self._pool = Pool(job.parallel, job.media if local else None, job.kind)
        self._gate = Gate(job.identities, job.manners) if job.kind != "place" else None
        self._progress = ProgressFile(job.media)
        self._lock = threading.Lock()
        self._tools = {
            "yt-dlp": importlib.metadata.version("yt-dlp"), "ffmpeg": ffmpeg_version()
        }  # fmt: skip

    def do(self, unit: Unit) -> Receipt:
        """Do a unit and commit it; a unit that is committed already gives its receipt at once."""
        receipt = self._store.receipt(unit.name)
        if receipt is not None:
            return receipt
        started = time.perf_counter()
        outcomes = {one.key: one for one in self._store.read_journal(unit.name)}
        left = [task for task in unit.tasks if task.clip.key not in outcomes]
        with ThreadPoolExecutor(self._job.parallel) as threads:
            for outcome in threads.map(lambda task: self._do_clip(unit, task), left):
                outcomes[outcome.key] = outcome
        ordered = [outcomes[task.clip.key] for task in unit.tasks]
        receipt = self._store.commit_outcomes(
            unit.name, ordered, time.perf_counter() - started, self._tools
        )
        _log.info(
            "%s: %d clips here, %d not, %.1f s",
            unit.name, len(receipt.done), len(receipt.failed), time.perf_counter() - started,
        )  # fmt: skip
        return receipt

    def close(self) -> None:
        """End the fetching processes."""
        self._pool.close()

    def _do_clip(self, unit: Unit, task: ClipTask) -> Outcome:
        """One clip's fate; it stands in the journal when this returns."""
        try:
            outcome = self._fate(task)
            self._store.append_journal(unit.name, outcome, self._lock)
        except OSError as error:
            raise JobError(self._no_room(error.strerror or str(error))) from error
        self._progress.count()
        return outcome

    def _fate(self, task: ClipTask) -> Outcome:
        try:
            check_name(task.clip.key)
            return self._until_done(task, *self._where(task))
        except KnownError as error:
            return self._failed(task, "request", error.reason, error.detail)

    def _until_done(self, task: ClipTask, where: str, part: Part) -> Outcome:
        """Try until the clip is here, the trouble is the clip's own, or the tries are used up."""
        tried = refused = 0
        answer: Answer | None = None
        while True:
            with self._pool.child() as child:
                child.be_ready()
                leave = self._gate.enter() if self._gate else None
                if isinstance(leave, HandBack):
                    said = answer.detail if answer is not None else leave.detail
                    return self._failed(task, "wait", leave.reason, said)
                outcome, answer = self._try(child, task, where, part, leave)
            reason = Reason(answer.reason) if answer.reason else None
            if self._gate is not None and leave is not None:
                self._gate.leave(leave, reason, answer.retry_after_s)
            if outcome is not None:
                return outcome
            assert reason is not None  # or there were an outcome
            tried += reason in _TRIED_AGAIN
            refused += reason in HELD_BACK
            again = (reason in _TRIED_AGAIN and tried < self._job.tries) or (
                reason in HELD_BACK and refused < _MOST_REFUSALS and self._gate is not None
            )
            if not again or self._gate is None:
                return self._failed(task, answer.step, reason, answer.detail)
            if reason in _TRIED_AGAIN:
                time.sleep(_FIRST_PAUSE_S * 2 ** (tried - 1) * random.uniform(0.5, 1.5))

    def _try(
        self, child: Child, task: ClipTask, where: str, part: Part, leave: Leave | None
    ) -> tuple[Outcome | None, Answer]:
        """One try; the outcome when the clip came."""
        with self._pool.work() as work:
            answer = child.ask(self._request(task, where, part, leave, work))
            if _FULL in answer.detail:
                raise JobError(self._no_room(_FULL))
            if answer.facts is None:
                _log.debug("%s: %s: %s", task.clip.key, answer.reason, answer.detail)
                return None, answer
            self._store.put(task.clip.key, Path(answer.path))
        clip = task.clip
        row = {
            "clip_key": clip.key, "video_id": clip.video_id, "start_s": clip.start_s,
            "end_s": clip.end_s, **answer.facts, "identity": leave.identity.name if leave else None,
            "yt_dlp": self._tools["yt-dlp"] if leave else None, "ffmpeg": self._tools["ffmpeg"],
            "fetched_at": utc_stamp(),
        }  # fmt: skip
        return Outcome(clip.key, task.attempt, row), answer

    def _where(self, task: ClipTask) -> tuple[str, Part]:
        """Address or place of a clip, and what is there; `KnownError` when there is none."""
        job, clip = self._job, task.clip
        if job.kind == "youtube":
            return youtube_address(clip.video_id), "video"
        fixed: Part | None = "clip" if job.dataset in NO_STARTS else None
        if job.kind == "address":
            return mirror_address(job.source, clip), fixed or mirror_part(job.source)
        if task.media is None:
            raise KnownError(Reason.NOT_FOUND, f"no {clip.key} or {clip.video_id} in {job.source}")
        return task.media.uri, fixed or ("clip" if task.media.cut else "either")

    def _request(
        self, task: ClipTask, where: str, part: Part, leave: Leave | None, work: Path
    ) -> Request:
        job, clip, root = self._job, task.clip, self._job.source
        if job.kind == "place" and not files.is_local(job.source):
            copy = work / "bucket.media"
            try:
                copy.write_bytes(files.read(where))
            except (OSError, BeamIOError) as error:
                raise KnownError(Reason.NETWORK, f"{where} cannot be read: {error}") from None
            where, root = str(copy), str(work)
        return Request(
            key=clip.key, video_id=clip.video_id, start_s=clip.start_s, end_s=clip.end_s,
            source=job.kind, where=where, part=part, work=str(work), limits=job.limits,
            shared_video=task.shared_video, hosts=job.hosts, root=root,
            site_args=job.site_args,
            cookies=leave.identity.cookies if leave else None,
            proxy=leave.identity.proxy if leave else None,
            user_agent=leave.identity.user_agent if leave else None,
        )  # fmt: skip

    def _no_room(self, why: str) -> str:
        return (
            f"cannot write media to {self._job.media} ({why}); make room or choose another "
            "--media, then run the same command again: what is finished is kept"
        )

    def _failed(self, task: ClipTask, step: str, reason: Reason, detail: str) -> Outcome:
        failure = Failure(task.clip.key, step, reason, detail, task.attempt, utc_stamp())
        return Outcome(task.clip.key, task.attempt, failure=failure)
