"""The process that opens media files: requests in, answers out, a line of JSON each.

`{"do": "inspect", "path": ...}` gives sha256 and tracks; `{"do": "frames", ...}` writes the frames
of given times to a file. A failure comes back as `{"reason": ..., "detail": ...}`.
"""

import json
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av.logging
import numpy as np

from pipelines.media.child_process import answer_requests
from pipelines.media.ffmpeg import MOST_MEMORY
from pipelines.media.probe import probe
from pipelines.media.regular_file import sha256_of
from pipelines.media.timestamps import write_frames
from schemas import KnownError, Reason


def answer(line: bytes) -> bytes:
    """Return the answer to one request; never an exception."""
    try:
        return json.dumps(_do(json.loads(line))).encode()
    except KnownError as error:
        return _failure(error.reason, error.detail)
    except MemoryError:
        memory = f"{MOST_MEMORY / 2**30:g} GiB of memory"
        return _failure(Reason.TOO_LARGE, f"reading the file takes more than {memory}")
    except Exception:  # noqa: BLE001 a bug here is the failure of one clip, with its traceback
        return _failure(Reason.INTERNAL, traceback.format_exc())


def _do(request: dict[str, Any]) -> dict[str, Any]:
    path = Path(request["path"])
    if request["do"] == "inspect":
        return {"sha256": sha256_of(path), **asdict(probe(path))}
    starts, picked = write_frames(
        path,
        request["track"],
        np.asarray(request["times"]),
        Path(request["target"]),
        timeout_s=request["timeout_s"],
        most_bytes=request["most_bytes"],
    )
    return {"starts": starts, "picked": picked}


def _failure(reason: Reason, detail: str) -> bytes:
    return json.dumps({"reason": reason, "detail": detail}).encode()


if __name__ == "__main__":
    av.logging.set_level(av.logging.ERROR)  # the library's last message goes into its errors
    answer_requests(answer, MOST_MEMORY)
