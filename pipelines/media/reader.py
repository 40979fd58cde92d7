"""Media files opened at arm's length: PyAV works in a process that may be killed or crash."""

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.media.child_process import ChildDiedError, ChildProcess, ChildTimeoutError
from pipelines.media.frames import ImageFile
from pipelines.media.probe import Probe, Track
from pipelines.media.regular_file import check_regular
from pipelines.media.scratch_room import ScratchRoom
from schemas import KnownError, Reason

_BYTES_PER_S = 4 * 2**20
"""A file may take a second more for each so many bytes, as slow network disks do."""
_GRACE_S = 5.0
"""The process keeps its time limit by itself; after so much more it is killed."""


class MediaReader:
    """Reads media files, one at a time, in a process of its own."""

    def __init__(self) -> None:
        self._child = ChildProcess("pipelines.media.reader_process")

    def inspect(self, path: Path, timeout_s: float) -> tuple[str, Probe]:
        """Return sha256 and tracks of a file.

        Raises `KnownError`: those of `sha256_of` and `probe`, `timeout` after `timeout_s` seconds
        and one more per 4 MiB, `corrupt` when a library crashes on the file.
        """
        limit = timeout_s + check_regular(path) / _BYTES_PER_S
        answer = self._ask({"do": "inspect", "path": str(path)}, limit)
        tracks = (answer[kind] and Track(**answer[kind]) for kind in ("video", "audio"))
        return answer["sha256"], Probe(*tracks)

    def frames_at(
        self,
        path: Path,
        track: int,
        times: NDArray[np.float64],
        target: Path,
        *,
        timeout_s: float,
        room: ScratchRoom,
    ) -> tuple[ImageFile, list[int]]:
        """Return the frame shown at each time, and which image of the file it is.

        See `pipelines.media.timestamps.write_frames`; raises `KnownError` as `inspect` does.
        """
        request = {
            "do": "frames", "path": str(path), "track": track, "times": times.tolist(),
            "target": str(target), "timeout_s": timeout_s, "most_bytes": room.most_bytes,
        }  # fmt: skip
        try:
            answer = self._ask(request, timeout_s + _GRACE_S)
        except KnownError as error:
            if error.reason is Reason.TOO_LARGE and target.exists():
                room.check(target.stat().st_size)
            raise
        return ImageFile(target, answer["starts"]), answer["picked"]

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(
                self._child.ask(json.dumps(request).encode(), timeout_s)
            )
        except ChildTimeoutError:
            raise KnownError(
                Reason.TIMEOUT, f"reading the file took longer than {timeout_s:g} s"
            ) from None
        except ChildDiedError as error:
            raise KnownError(Reason.CORRUPT, f"the process that read the file {error}") from None
        if "reason" in answer:
            raise KnownError(Reason(answer["reason"]), answer["detail"])
        return answer


class ReaderPool:
    """Several readers; `reader()` lends one to a thread."""

    def __init__(self, size: int) -> None:
        self._readers = [MediaReader() for _ in range(size)]
        self._free: queue.SimpleQueue[MediaReader] = queue.SimpleQueue()
        for reader in self._readers:
            self._free.put(reader)

    @contextmanager
    def reader(self) -> Iterator[MediaReader]:
        """Lend a reader for the block alone; waits for one to be free."""
        reader = self._free.get()
        try:
            yield reader
        finally:
            self._free.put(reader)

    def close(self) -> None:
        """End all processes."""
        for reader in self._readers:
            reader.close()
