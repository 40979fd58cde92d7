"""The process that gets one clip after the other: requests in, answers out, a line of JSON each.

It is a process of its own so that it can be held to its limits: a clip that takes too long, eats
the memory or breaks a library costs this process and one clip, not the job. It ends with its
parent.
"""

import hashlib
import json
import os
import resource
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.jobs.download.fetch.cut import Cut, cut
from pipelines.jobs.download.fetch.local_sources import copy_out
from pipelines.jobs.download.fetch.messages import Fetched, Request
from schemas import KnownError

if TYPE_CHECKING:  # yt-dlp takes a second to import and is not needed for places
    from pipelines.jobs.download.fetch.ytdlp import Downloader

_MOST_MEMORY = 3 * 2**30
_KEPT_DOWNLOADERS = 8


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of one request."""

    key: str
    facts: dict[str, Any] | None = None
    """What was stored, for table `media`, when the clip is there."""
    path: str = ""
    """Its file in the work folder."""
    step: str = ""
    """Where it failed: `request`, `fetch` or `cut`."""
    reason: str = ""
    detail: str = ""
    retry_after_s: float | None = None

    def encode(self) -> str:
        """The answer as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> "Answer":
        """The answer back from `encode`."""
        return cls(**json.loads(line))


class Fetcher:
    """Gets clips; keeps one yt-dlp for each identity."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._downloaders: dict[tuple[Any, ...], Downloader] = {}

    def get(self, request: Request) -> Answer:
        """The clip, or why not; never an exception."""
        step, downloader = "fetch", None
        try:
            if request.source == "place":
                fetched = self._from_place(request)
            else:
                downloader = self._downloader(request)
                fetched = downloader.fetch(request)
            step = "cut"
            made = cut(request, fetched, Path(request.work))
            return Answer(key=request.key, path=str(made.path), facts=_facts(made, fetched))
        except KnownError as error:
            return Answer(key=request.key, step=step, reason=error.reason, detail=error.detail)
        except Exception as error:  # noqa: BLE001 whatever a site makes yt-dlp raise is one clip's
            return _explained(request, step, error, downloader)

    def _from_place(self, request: Request) -> Fetched:
        target = Path(request.work, "source.media")
        limit = request.limits.max_bytes
        path = copy_out(request.where, Path(request.root), target, limit)
        return Fetched(str(path), None, request.where, "file", None)

    def _downloader(self, request: Request) -> "Downloader":
        from pipelines.jobs.download.fetch.ytdlp import Downloader

        key = (request.cookies, request.proxy, request.user_agent, request.limits.height)
        if key not in self._downloaders:
            if len(self._downloaders) == _KEPT_DOWNLOADERS:
                self._downloaders.pop(next(iter(self._downloaders))).close()
            folder = self._folder / f"identity-{len(self._downloaders)}-{time.monotonic_ns()}"
            folder.mkdir()
            self._downloaders[key] = Downloader(request, folder)
        return self._downloaders[key]


def _explained(
    request: Request, step: str, error: Exception, downloader: "Downloader | None"
) -> Answer:
    from pipelines.jobs.download.fetch.reasons import explain

    trouble = explain(
        error,
        site=request.source == "youtube",
        warnings=downloader.listener.warnings if downloader else [],
        refusals=downloader.refusals if downloader else [],
    )
    return Answer(
        key=request.key, step=step, reason=trouble.reason, detail=trouble.detail,
        retry_after_s=trouble.retry_after_s,
    )  # fmt: skip


def _facts(made: Cut, fetched: Fetched) -> dict[str, Any]:
    with made.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    picture, sound = made.inside.picture, made.inside.sound
    return {
        "real_start_s": made.start_s, "real_end_s": made.end_s,
        "duration_s": made.inside.duration_s, "shorter": made.shorter, "how": made.how,
        "offset_s": made.inside.offset_s, "sha256": sha256, "size": made.path.stat().st_size,
        "source": fetched.source, "format_id": fetched.format_id,
        "video_codec": picture and picture.codec, "width": picture and picture.width,
        "height": picture and picture.height, "fps": picture and picture.fps,
        "audio_codec": sound and sound.codec, "sample_rate": sound and sound.sample_rate,
        "audio_channels": sound and sound.channels,
    }  # fmt: skip


def _watch_parent() -> None:
    """End when the job's process has ended, however it did."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Answer requests until the parent closes the line."""
    _watch_parent()
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    fetcher = Fetcher(Path(sys.argv[1]))
    if sys.argv[2] != "place":
        from pipelines.jobs.download.fetch.ytdlp import warm_up

        warm_up(sys.argv[2])
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(fetcher.get(Request.decode(line)).encode(), file=answers, flush=True)


if __name__ == "__main__":
    main()
