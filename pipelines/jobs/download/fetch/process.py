"""The process that fetches one clip after another: requests in, results out, a line of JSON each.

It is a process of its own so that it can be held to its limits: a clip that takes too long, uses up
the memory or crashes a library costs this process and one clip, not the job. It ends with its
parent.
"""

import hashlib
import importlib.metadata
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av.logging

from pipelines.jobs.download.duplicates.perceptual_hash import hash_clip
from pipelines.jobs.download.fetch.cut import FinishedClip, cut_clip
from pipelines.jobs.download.fetch.local_sources import extract_media
from pipelines.jobs.download.fetch.messages import FetchedMedia, FetchRequest, FetchResult
from pipelines.media.child_process import answer_requests
from schemas import KnownError, Reason
from schemas.messages import printable, printable_lines
from schemas.secrets import redact, secrets_of_address

if TYPE_CHECKING:  # yt-dlp takes a second to import and is not needed for local files
    from pipelines.jobs.download.fetch.ytdlp import Downloader

_MOST_MEMORY = 3 * 2**30
_KEPT_DOWNLOADERS = 8
_MOST_DETAIL = 4000
_MOST_FORMAT_ID = 100


class Fetcher:
    """Fetch clips; keep one yt-dlp for each identity."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._downloaders: dict[tuple[Any, ...], Downloader] = {}

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Fetch and cut a clip; a failure is a result too, never an exception.

        What is said holds no secret of the request and nothing that a terminal would obey.
        """
        result = self._fetch(request)
        kept = bool(request.shared_folder) and (
            result.facts is not None or result.step == "cut" or result.reason == Reason.TOO_SHORT
        )
        if not kept and request.source != "files":
            self._downloader(request).forget()
        clean = printable_lines if result.reason == Reason.INTERNAL else printable
        detail = clean(redact(result.detail, _secrets(request)), _MOST_DETAIL)
        return replace(result, detail=detail, kept=kept)

    def close(self) -> None:
        """Let go of connections."""
        for downloader in self._downloaders.values():
            downloader.close()

    def _fetch(self, request: FetchRequest) -> FetchResult:
        step, downloader = "fetch", None
        try:
            if request.source == "files":
                fetched = self._from_files(request)
            else:
                downloader = self._downloader(request)
                fetched = downloader.fetch(request)
            step = "cut"
            clip = cut_clip(request, fetched, Path(request.folder))
            if request.shared_folder and clip.path.is_relative_to(request.shared_folder):
                clip = replace(clip, path=Path(shutil.copy(clip.path, request.folder)))
            facts = _facts(request, clip, fetched)
            return FetchResult(key=request.key, path=str(clip.path), facts=facts)
        except KnownError as error:
            return FetchResult(key=request.key, step=step, reason=error.reason, detail=error.detail)
        except Exception as error:  # noqa: BLE001 no clip ends the process
            return _failed(request, step, error, downloader)

    def _from_files(self, request: FetchRequest) -> FetchedMedia:
        target = Path(request.folder, "source.media")
        limit = request.limits.max_bytes
        path = extract_media(request.location, Path(request.root), target, limit)
        return FetchedMedia(str(path), None, request.location, "file", None)

    def _downloader(self, request: FetchRequest) -> "Downloader":
        from pipelines.jobs.download.fetch.ytdlp import Downloader

        key = (request.cookies, request.proxy, request.user_agent, request.limits.height)
        if key not in self._downloaders:
            if len(self._downloaders) == _KEPT_DOWNLOADERS:
                self._downloaders.pop(next(iter(self._downloaders))).close()
            cache = self._folder / f"cache-{time.monotonic_ns()}"
            self._downloaders[key] = Downloader(request, cache)
        return self._downloaders[key]


def _secrets(request: FetchRequest) -> Iterator[str]:
    """Yield what no message may repeat."""
    yield from secrets_of_address(request.proxy or "")
    yield from filter(None, (request.proxy, request.user_agent))
    for values in request.site_args.values():
        yield from values
    if request.source == "mirror":
        yield from secrets_of_address(request.location)


def _failed(
    request: FetchRequest, step: str, error: Exception, downloader: "Downloader | None"
) -> FetchResult:
    if downloader is None and not isinstance(error, MemoryError):
        detail = "".join(traceback.format_exception(error))
        return FetchResult(key=request.key, step=step, reason=Reason.INTERNAL, detail=detail)
    from pipelines.jobs.download.fetch.reasons import classify_error

    failure = classify_error(
        error,
        site=request.source == "youtube",
        warnings=downloader.messages.warnings if downloader else [],
        notes=downloader.messages.notes if downloader else [],
        error_responses=downloader.error_responses if downloader else [],
    )
    return FetchResult(
        key=request.key, step=step, reason=failure.reason, detail=failure.detail,
        retry_after_s=failure.retry_after_s, obstacle=failure.obstacle,
    )  # fmt: skip


def _facts(request: FetchRequest, clip: FinishedClip, fetched: FetchedMedia) -> dict[str, Any]:
    with clip.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    video, audio = clip.media.video, clip.media.audio
    return {
        "real_start_s": clip.start_s, "real_end_s": clip.end_s,
        "duration_s": clip.media.duration_s, "shorter": clip.shorter, "how": clip.how,
        "offset_s": clip.media.offset_s, "sha256": sha256, "size": clip.path.stat().st_size,
        "source": fetched.source, "format_id": printable(fetched.format_id, _MOST_FORMAT_ID),
        "video_codec": video and video.codec, "width": video and video.width,
        "height": video and video.height, "fps": video and video.fps,
        "audio_codec": audio and audio.codec, "sample_rate": audio and audio.sample_rate,
        "audio_channels": audio and audio.channels, "fetched_bytes": fetched.n_bytes,
        "phash": hash_clip(clip.path),
        "yt_dlp": None if request.source == "files" else importlib.metadata.version("yt-dlp"),
    }  # fmt: skip


def main() -> None:
    """Answer requests until the parent closes the pipe; arguments are a folder and the source."""
    folder, source = Path(sys.argv[1]), sys.argv[2]
    fetcher = Fetcher(folder)

    def prepare() -> None:
        av.logging.set_level(av.logging.ERROR)  # the library's last message goes into its errors
        if source != "files":
            from pipelines.jobs.download.fetch.ytdlp import warm_up

            warm_up(source)

    def answer(line: bytes) -> bytes:
        return fetcher.fetch(FetchRequest.decode(line.decode())).encode().encode()

    answer_requests(answer, _MOST_MEMORY, prepare)
    fetcher.close()


if __name__ == "__main__":
    main()
