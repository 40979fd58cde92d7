"""A video or a file of a mirror by yt-dlp's Python API, down to files in the work folder.

From YouTube yt-dlp extracts and chooses formats; a mirror's address is given straight to its
downloader, so no page is ever searched for other addresses. One `YoutubeDL` serves many clips.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yt_dlp.networking.exceptions import HTTPError

from pipelines.jobs.download.fetch.cut import by_section
from pipelines.jobs.download.fetch.guard import Allowance, GuardedYoutubeDL
from pipelines.jobs.download.fetch.messages import FetchedMedia, FetchRequest
from schemas import KnownError, Reason
from schemas.ffmpeg import ffmpeg_binary

JAVASCRIPT = ("deno", "node", "bun", "quickjs")
"""Runtimes that yt-dlp can use for YouTube; it looks for their programs by itself."""
YOUTUBE_HOSTS = (
    "youtube.com", "googlevideo.com", "youtubei.googleapis.com", "youtube-nocookie.com",
)  # fmt: skip
_SOCKET_TIMEOUT_S = 20.0
_RETRIES = 2
_FIRST_BYTES = 512


class MessageLog:
    """The logger that yt-dlp is given; keeps what it says for the failure's detail."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def debug(self, message: str) -> None:
        """Pass over."""

    def warning(self, message: str) -> None:
        """Keep."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Keep."""
        self.errors.append(message)


class Downloader:
    """yt-dlp set up for one identity and one set of limits."""

    def __init__(self, request: FetchRequest, folder: Path) -> None:
        self.messages = MessageLog()
        params: dict[str, Any] = {
            "quiet": True, "noprogress": True, "no_color": True, "logger": self.messages,
            "cachedir": str(folder / "cache"), "noplaylist": True, "playlist_items": "1",
            "retries": _RETRIES, "extractor_retries": 1, "file_access_retries": 0,
            "retry_sleep_functions": {"http": lambda n: 0.5 * 2**n},
            "socket_timeout": min(_SOCKET_TIMEOUT_S, request.limits.timeout_s),
            "buffersize": 2**18, "noresizebuffer": True,
            "continuedl": True, "overwrites": True, "updatetime": False, "check_formats": False,
            "allowed_extractors": ["youtube"], "ignore_no_formats_error": False,
            "format": _format(request.limits.height), "ffmpeg_location": ffmpeg_binary(),
            "js_runtimes": {name: {} for name in JAVASCRIPT}, "http_headers": {},
        }  # fmt: skip
        if request.cookies:
            # yt-dlp writes cookies back at its end; each process has a copy of its own
            copy = folder / "cookies.txt"
            shutil.copyfile(request.cookies, copy)
            params["cookiefile"] = str(copy)
        if request.site_args:
            args = {name: list(values) for name, values in request.site_args.items()}
            params["extractor_args"] = {"youtube": args}
        if request.proxy:
            params["proxy"] = request.proxy
        if request.user_agent:
            params["http_headers"]["User-Agent"] = request.user_agent
        self._ydl = GuardedYoutubeDL(params)

    def fetch(self, request: FetchRequest) -> FetchedMedia:
        """Fetch a clip's media; may raise whatever yt-dlp raises (see `reasons.classify_error`)."""
        self.messages.warnings.clear()
        self.messages.errors.clear()
        self._ydl.refusals.clear()
        limits = request.limits
        self._ydl.allowance = Allowance(request.hosts, limits.max_bytes, limits.timeout_s)
        steps: dict[str, Callable[[FetchRequest], FetchedMedia]] = {
            "youtube": self._youtube, "mirror": self._mirror
        }  # fmt: skip
        return steps[request.source](request)

    def _mirror(self, request: FetchRequest) -> FetchedMedia:
        self._ydl.media_only = True
        info = {
            "id": request.key, "title": request.key, "url": request.location, "protocol": "http",
            "extractor": "mirror", "ext": "mp4",
        }  # fmt: skip
        path = self._download(info, Path(request.folder, "source.media"))
        _check_head(path)
        return FetchedMedia(str(path), None, request.location, "mirror", None)

    def _youtube(self, request: FetchRequest) -> FetchedMedia:
        self._ydl.media_only = False
        info = self._ydl.extract_info(request.location, download=False)
        if info is None or info.get("_type", "video") != "video":
            raise KnownError(Reason.UNSAFE_INPUT, f"{request.location} gave a list, not a video")
        if info.get("id") != request.video_id:
            raise KnownError(
                Reason.UNSAFE_INPUT, f"{request.location} gave another video: {info.get('id')!r}"
            )
        if info.get("live_status") in ("is_live", "post_live"):
            raise KnownError(Reason.NOT_FOUND, "the video is being sent live")
        formats = info.get("requested_formats") or [info]
        self._ydl.media_only = True
        chosen = {
            "source": "youtube",
            "format_id": "+".join(str(one["format_id"]) for one in formats),
            "duration_s": info.get("duration"),
        }
        size = sum(one.get("filesize") or one.get("filesize_approx") or 0 for one in formats)
        through_ffmpeg = not (request.proxy or "http").startswith("socks")  # it knows no SOCKS
        if through_ffmpeg and by_section(
            request.length_s, info.get("duration"), size or None, request.limits.section_above
        ):
            for one in formats:
                self._ydl.allowance.check_address(one["url"])
            addresses = [one["url"] for one in formats]
            headers = {**info.get("http_headers", {}), **formats[0].get("http_headers", {})}
            return FetchedMedia(
                addresses[0], _second(addresses), **chosen, remote=True, headers=headers
            )
        paths = []
        for number, one in enumerate(formats):
            path = self._download({**info, **one}, Path(request.folder, f"source{number}.media"))
            _check_head(path)
            paths.append(str(path))
        return FetchedMedia(paths[0], _second(paths), **chosen)

    def _download(self, info: dict[str, Any], path: Path) -> Path:
        """One file by yt-dlp's own downloader, which resumes after a break."""
        info.pop("requested_formats", None)
        done, _ = self._ydl.dl(str(path), info)
        if not done or not path.exists():
            said = [*self.messages.warnings, *self.messages.errors]
            raise KnownError(Reason.NETWORK, f"yt-dlp stopped: {said[-1] if said else '?'}")
        return path

    @property
    def refusals(self) -> list[HTTPError]:
        """Answers with an error status that the last clip met, also those that yt-dlp hid."""
        return self._ydl.refusals

    def close(self) -> None:
        """Let go of connections."""
        self._ydl.close()


def warm_up(source: str) -> None:
    """Load what the first request needs, so that it goes out when it may."""
    loaded = GuardedYoutubeDL({"quiet": True})
    if source == "youtube":
        loaded.get_info_extractor("Youtube")


def _second(names: list[str]) -> str | None:
    return names[1] if len(names) > 1 else None


def _format(height: int) -> str:
    """yt-dlp's choice: direct files only, H.264 before others, the best audio there is."""
    cap = f"[height<={height}]" if height else ""
    direct = "[protocol~='^https?$']"
    return "/".join(
        (
            f"bv{cap}[vcodec^=avc1]{direct}+ba{direct}",
            f"bv{cap}{direct}+ba{direct}",
            f"b{cap}{direct}",
            f"wv*{direct}+ba{direct}",
            f"w{direct}",
            f"ba{direct}",
            f"bv{cap}{direct}",
        )
    )


def _check_head(path: Path) -> None:
    """Refuse a page or a playlist that came as a media file; its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(_FIRST_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        raise KnownError(Reason.FORMAT, "the file is a page, not media")
    playlists = (b"#extm3u", b"<?xml", b"<mpd", b"<smil", b"[playlist]", b"ffconcat", b"rtsp://")
    if head.startswith(playlists):
        raise KnownError(
            Reason.UNSAFE_INPUT,
            "the file is a playlist, which may lead anywhere; it was not opened",
        )
