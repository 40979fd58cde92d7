"""Clips decoded in threads while another is in the nets: find, inspect, decode."""

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.jobs.clip_failure import failure_of
from pipelines.media.decode import ClipDecoder, ClipFile, find_window
from pipelines.media.degrade import degraded
from pipelines.media.probe import Probe
from pipelines.media.reader import MediaReader, ReaderPool
from pipelines.media.regular_file import check_regular
from pipelines.media.scratch_room import LITTLE_ROOM, ScratchRoom
from pipelines.store import files
from pipelines.store.units import ClipTask
from schemas import ClipMedia, Failure, KnownError, Reason, Recipe


@dataclass(frozen=True)
class DecodedClip:
    """A clip that is ready for the extractors; its frames lie in `folder` until then."""

    media: ClipMedia
    probe: Probe
    sha256: str
    folder: Path
    seconds: float
    """How long finding and decoding took."""


class DecodingPool:
    """Threads that decode the next clips, each with a process that reads media for it."""

    def __init__(
        self,
        recipe: Recipe,
        threads: int,
        timeout_s: float,
        little_room: int = LITTLE_ROOM,
        *,
        held: int = 1,
    ) -> None:
        """Make a pool; `held` decoded clips at most are with the caller at a time."""
        self._recipe, self._threads, self._timeout_s = recipe, threads, timeout_s
        self._share = 1.0 / (threads + held)  # frames and samples of all these clips fit together
        self._little_room = little_room
        self._readers = ReaderPool(threads)

    def decode(
        self, tasks: Sequence[ClipTask], scratch: Path
    ) -> Generator[tuple[ClipTask, DecodedClip | Failure]]:
        """Yield every task with its decoded clip, in order; the next ones are decoded meanwhile.

        The caller removes a clip's folder below `scratch` once it needs it no more.
        """
        with ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as pool:
            waiting: deque[Future[DecodedClip | Failure]] = deque()
            try:
                for index, task in enumerate(tasks):
                    for later in tasks[index + len(waiting) : index + 1 + self._threads]:
                        waiting.append(pool.submit(self._find_and_decode, later, scratch))
                    yield task, waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def close(self) -> None:
        """End the processes that read media."""
        self._readers.close()

    def _room(self, folder: Path) -> ScratchRoom:
        return ScratchRoom.of(folder, self._share, self._little_room)

    def _find_and_decode(self, task: ClipTask, scratch: Path) -> DecodedClip | Failure:
        """Decode one clip into a folder below `scratch`; called from the decoding threads."""
        step, started, folder = "find", time.perf_counter(), None
        try:
            if task.media is None:
                raise KnownError(
                    Reason.NOT_FOUND,
                    f"no file {task.clip.key}.* or {task.clip.video_id}.* among the media",
                )
            folder = Path(tempfile.mkdtemp(dir=scratch))
            with (
                files.local_copy(task.media.uri, self._room(folder)) as path,
                self._readers.reader() as reader,
            ):
                check_regular(path)
                step = "decode"
                sha256, file = self._inspect(task, path, task.media.cut, reader)
                media = degraded(self._decoder(reader).decode(file, folder), self._recipe.degrade)
            return DecodedClip(media, file.probe, sha256, folder, time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001 whatever one clip raises is its own failure
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            return failure_of(task, step, error)

    def _inspect(
        self, task: ClipTask, path: Path, cut: bool, reader: MediaReader
    ) -> tuple[str, ClipFile]:
        """Return the file's sha256, and where in it the clip lies."""
        sha256, probe = reader.inspect(path, self._timeout_s)
        window = find_window(task.clip, probe, cut=cut)
        if task.shared_video and not cut and window.start_s != task.clip.start_s:
            raise KnownError(
                Reason.NOT_FOUND,
                f"{path.name} is as long as one clip, but the manifest has several clips of this "
                f"video; name the file {task.clip.key}{path.suffix}",
            )
        return sha256, ClipFile(task.clip, path, probe, window)

    def _decoder(self, reader: MediaReader) -> ClipDecoder:
        return ClipDecoder(self._recipe, reader, self._timeout_s, self._share, self._little_room)
