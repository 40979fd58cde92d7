"""One job at a time on a store: a lock on a local disk, a lease in a bucket.

A local lock goes with the process that holds it, however that ends. A lease is one small object
that says who writes and until when; its holder renews it while the job runs. In Google's buckets
every write of the lease names the version that it replaces (none for a new lease), so of jobs that
start at once exactly one succeeds. Beam's other filesystems offer no such condition: there the
holder waits a moment and reads whether the lease is still its own.
"""

import fcntl
import json
import logging
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.gcp.gcsio import create_storage_client, parse_gcs_path
from apache_beam.options.pipeline_options import PipelineOptions
from google.api_core.exceptions import NotFound, PreconditionFailed

from pipelines.store import files
from pipelines.store.interrupts import released_on_signals
from schemas import JobError, UsageError

_log = logging.getLogger(__name__)
_ABSENT = 0
"""The generation of an object of Google's that does not exist."""


@dataclass(frozen=True, kw_only=True)
class LeaseTimes:
    """How long a lease lasts and how it is kept, in seconds."""

    lasts_s: float = 180.0
    """The lease of a job that was killed ends by itself after so long."""
    renewed_s: float = 45.0
    """Time between two renewals."""
    settles_s: float = 1.0
    """Where writes have no condition: wait before the lease is read back."""


@dataclass(frozen=True)
class Lease:
    """Who writes to a store, and until when."""

    owner: str
    host: str
    until: float
    """Seconds since the epoch."""


@contextmanager
def locked(out: str, option: str = "--out", times: LeaseTimes | None = None) -> Iterator[None]:
    """Hold a store alone; `UsageError`, which names `option`, while another job holds it."""
    hold = _hold_local(out, option) if files.is_local(out) else _hold_bucket(out, option, times)
    with hold, released_on_signals(lambda: hold.__exit__(None, None, None)):
        yield


@contextmanager
def _hold_local(out: str, option: str) -> Iterator[None]:
    with files.as_job_errors(out):
        Path(out).mkdir(parents=True, exist_ok=True)
    with Path(out, ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another job is writing to {out}; wait for it or give another {option}"
            ) from None
        yield


@contextmanager
def _hold_bucket(out: str, option: str, times: LeaseTimes | None) -> Iterator[None]:
    """Hold a lease; `JobError` at the end when another job took it over on the way."""
    times = times or LeaseTimes()
    uri = files.join(out, "lease.json")
    file = _GoogleLeaseFile(uri) if uri.startswith("gs://") else _PlainLeaseFile(uri, times)
    owner = uuid.uuid4().hex
    version = _acquire(file, owner, times, out, option)
    renewer = _Renewer(file, owner, version, times)
    renewer.start()
    try:
        yield
    finally:
        renewer.stop()
        if not renewer.lost:
            file.delete(renewer.version)
    if renewer.lost:
        raise JobError(
            f"another job took {out} over while this one could not renew its lease; run the same "
            "command again: what is finished is kept"
        )


class _LeaseFile(Protocol):
    """Where a lease is stored."""

    def read(self) -> tuple[Lease, int] | None:
        """Return the lease and its version; None where there is none."""

    def write(self, lease: Lease, replaced: int) -> int | None:
        """Write a lease in the place of a version; return its own, None if it was changed since."""

    def delete(self, version: int) -> None:
        """Remove a version of the lease; what another job has written since stays."""


def _acquire(file: _LeaseFile, owner: str, times: LeaseTimes, out: str, option: str) -> int:
    """Write a lease and return its version; `UsageError` while another job's lease lasts."""
    while True:
        current = file.read()
        lease, version = current or (None, _ABSENT)
        left = lease.until - time.time() if lease is not None else 0.0
        if lease is not None and left > 0:
            raise UsageError(
                f"another job is writing to {out} from {lease.host}; wait for it or give another "
                f"{option} (should it have been killed, {out} is free in {left:.0f} s)"
            )
        written = file.write(_new_lease(owner, times), version)
        if written is not None:
            return written


def _new_lease(owner: str, times: LeaseTimes) -> Lease:
    return Lease(owner, platform.node(), time.time() + times.lasts_s)


class _Renewer(threading.Thread):
    """Renew a lease until told to stop, or until another job has taken it over."""

    def __init__(self, file: _LeaseFile, owner: str, version: int, times: LeaseTimes) -> None:
        super().__init__(daemon=True)
        self._file, self._owner, self._times = file, owner, times
        self._stopped = threading.Event()
        self.version = version
        self.lost = False

    def run(self) -> None:
        """Renew at every interval."""
        while not self._stopped.wait(self._times.renewed_s):
            try:
                version = self._file.write(_new_lease(self._owner, self._times), self.version)
            except (JobError, BeamIOError, OSError) as error:
                _log.warning("the lease cannot be renewed: %s", error)
                continue
            if version is None:
                self.lost = True
                _log.error("another job has taken the store over")
                return
            self.version = version

    def stop(self) -> None:
        """End the renewals."""
        self._stopped.set()
        self.join()


class _GoogleLeaseFile:
    """A lease in a bucket of Google's, written on condition of its generation."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        bucket, self._name = parse_gcs_path(uri)
        self._bucket = create_storage_client(PipelineOptions([])).bucket(bucket)

    def read(self) -> tuple[Lease, int] | None:
        """Return the lease and its generation."""
        gone = suppress(NotFound, PreconditionFailed)
        with files.as_job_errors(self._uri), files.as_beam_errors(), gone:
            blob = self._bucket.get_blob(self._name)
            if blob is not None:
                generation = int(blob.generation)
                data = blob.download_as_bytes(if_generation_match=generation)
                return _decode(data, self._uri), generation
        return None

    def write(self, lease: Lease, replaced: int) -> int | None:
        """Write the lease if the object's generation is still `replaced`."""
        blob = self._bucket.blob(self._name)
        with files.as_job_errors(self._uri), files.as_beam_errors(), suppress(PreconditionFailed):
            blob.upload_from_string(_encode(lease), if_generation_match=replaced)
            return int(blob.generation)
        current = self.read()  # a request that was sent twice is refused by its own first half
        return current[1] if current is not None and current[0] == lease else None

    def delete(self, version: int) -> None:
        """Remove the object if its generation is still `version`."""
        gone = suppress(NotFound, PreconditionFailed)
        with files.as_job_errors(self._uri), files.as_beam_errors(), gone:
            self._bucket.blob(self._name).delete(if_generation_match=version)


class _PlainLeaseFile:
    """A lease on a filesystem without conditions: written, then read back after a moment."""

    def __init__(self, uri: str, times: LeaseTimes) -> None:
        self._uri, self._settles_s = uri, times.settles_s

    def read(self) -> tuple[Lease, int] | None:
        """Return the lease; its version is always 0."""
        if files.exists(self._uri):
            with suppress(FileNotFoundError):  # the job that held it has just ended
                return _decode(files.read(self._uri), self._uri), _ABSENT
        return None

    def write(self, lease: Lease, replaced: int) -> int | None:
        """Write the lease; None when another job has written its own at the same time."""
        files.write(self._uri, _encode(lease))
        time.sleep(self._settles_s)
        current = self.read()
        return _ABSENT if current is not None and current[0].owner == lease.owner else None

    def delete(self, version: int) -> None:
        """Remove the lease."""
        files.delete([self._uri])


def _encode(lease: Lease) -> bytes:
    return json.dumps(asdict(lease)).encode()


def _decode(data: bytes, uri: str) -> Lease:
    try:
        raw = json.loads(data)
        return Lease(str(raw["owner"]), str(raw["host"]), float(raw["until"]))
    except (ValueError, TypeError, KeyError):
        raise UsageError(
            f"{uri} is not readable as a lease; remove it if no other job writes there"
        ) from None
