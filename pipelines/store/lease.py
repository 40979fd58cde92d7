"""A lease on a store in a bucket, where no lock goes with the process that holds it.

The lease is one small object that says who writes and until when; its holder renews it while the
job runs. Buckets have no test-and-set that Beam's filesystems know, so a holder that has just
written its name waits a moment and reads whether the name still stands.
"""

import json
import logging
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from apache_beam.io.filesystem import BeamIOError

from pipelines.store import files
from schemas import JobError, UsageError

_log = logging.getLogger(__name__)
_NAME = "lease.json"
_LASTS_S = 180.0
_RENEWED_S = 45.0
_SETTLES_S = 1.0
"""Two jobs that start at once have both written their names after so long."""


@contextmanager
def leased(out: str, option: str) -> Iterator[None]:
    """Hold a store alone; `UsageError` while another job holds it.

    The lease of a job that was killed ends by itself within three minutes.
    """
    place, owner = files.join(out, _NAME), uuid.uuid4().hex
    _refuse_other(place, owner, out, option)
    _sign(place, owner)
    time.sleep(_SETTLES_S)
    _refuse_other(place, owner, out, option)
    done = threading.Event()
    renewer = threading.Thread(target=_renew, args=(place, owner, done), daemon=True)
    renewer.start()
    try:
        yield
    finally:
        done.set()
        renewer.join()
        files.delete([place])


def _refuse_other(place: str, owner: str, out: str, option: str) -> None:
    if not files.exists(place):
        return
    try:
        found = json.loads(files.read(place))
    except FileNotFoundError:  # the job that held it has just ended
        return
    left = found["until"] - time.time()
    if found["owner"] != owner and left > 0:
        raise UsageError(
            f"another job is writing to {out} from {found['host']}; wait for it or give another "
            f"{option} (should it have been killed, {out} is free in {left:.0f} s)"
        )


def _sign(place: str, owner: str) -> None:
    lease = {"owner": owner, "host": platform.node(), "until": time.time() + _LASTS_S}
    files.write(place, json.dumps(lease).encode())


def _renew(place: str, owner: str, done: threading.Event) -> None:
    while not done.wait(_RENEWED_S):
        try:
            _sign(place, owner)
        except (JobError, BeamIOError, OSError) as error:
            _log.warning("the lease %s cannot be renewed: %s", place, error)
