"""A video of YouTube or a file of a mirror, down to files in the request's folder.

From YouTube yt-dlp extracts and chooses formats; a mirror's address is asked as it is, so no page
is ever searched for other addresses. One `YoutubeDL` serves many clips.
"""

import io
from pathlib import Path
from typing import Any

from yt_dlp.networking.exceptions import HTTPError

from pipelines.jobs.download.fetch.cut import by_section
from pipelines.jobs.download.fetch.guard import Allowance, GuardedYoutubeDL
from pipelines.jobs.download.fetch.messages import FetchedMedia, FetchRequest
from pipelines.jobs.download.fetch.remote import RangesRefusedError, RemoteFile, RemoteReader
from pipelines.jobs.download.fetch.section import SHIFT_S, copy_section
from schemas import KnownError, Reason
from schemas.machine.ffmpeg import ffmpeg_binary
from schemas.messages import quoted
from schemas.secrets import redact_address

JAVASCRIPT = ("deno", "node", "bun", "quickjs")
"""Runtimes that yt-dlp can use for YouTube; it looks for their programs by itself."""
YOUTUBE_HOSTS = (
    "youtube.com:443", "googlevideo.com:443", "youtubei.googleapis.com:443",
    "youtube-nocookie.com:443",
)  # fmt: skip
_SOCKET_TIMEOUT_S = 20.0
_FIRST_BYTES = 512


class MessageLog:
    """The logger that yt-dlp is given; it keeps messages for the failure's detail."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def debug(self, message: str) -> None:
        """Pass over a message."""

    def warning(self, message: str) -> None:
        """Keep a warning."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Keep an error."""
        self.errors.append(message)


class Downloader:
    """yt-dlp set up for one identity and one set of limits."""

    def __init__(self, request: FetchRequest, cache: Path) -> None:
        """Set up yt-dlp; `cache` is a folder for what it keeps between videos."""
        self.messages = MessageLog()
        params: dict[str, Any] = {
            "quiet": True, "noprogress": True, "no_color": True, "logger": self.messages,
            "cachedir": str(cache), "noplaylist": True, "playlist_items": "1",
            "extractor_retries": 1,
            "socket_timeout": min(_SOCKET_TIMEOUT_S, request.limits.timeout_s),
            "check_formats": False,
            "allowed_extractors": ["youtube"], "ignore_no_formats_error": False,
            "format": _format(request.limits.height), "ffmpeg_location": ffmpeg_binary(),
            "js_runtimes": {name: {} for name in JAVASCRIPT}, "http_headers": {},
        }  # fmt: skip
        if request.cookies:
            # in memory: yt-dlp writes cookies back at its end, and no copy may lie anywhere
            text = Path(request.cookies).read_text(encoding="utf-8", errors="replace")
            params["cookiefile"] = io.StringIO(text)
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
        self._ydl.error_responses.clear()
        limits = request.limits
        self._ydl.allowance = Allowance(request.hosts, limits.max_bytes, limits.timeout_s)
        return self._mirror(request) if request.source == "mirror" else self._youtube(request)

    def _mirror(self, request: FetchRequest) -> FetchedMedia:
        self._ydl.media_only = True
        path = Path(request.folder, "source.media")
        headers = dict(self._ydl.params["http_headers"])
        pause_s = request.limits.first_pause_s
        remote = RemoteFile(self._ydl, request.location, headers, first_pause_s=pause_s)
        remote.download(path)
        _check_head(path)
        return FetchedMedia(str(path), None, redact_address(request.location), "mirror", None)

    def _youtube(self, request: FetchRequest) -> FetchedMedia:
        self._ydl.media_only = False
        info = self._ydl.extract_info(request.location, download=False)
        formats = _check_info(request, info)
        self._ydl.media_only = True
        remotes = [_remote_file(self._ydl, info, chosen) for chosen in formats]
        duration_s = info.get("duration")
        zero_s = None
        paths: list[str] = []
        if _is_section(request, formats, duration_s):
            try:
                paths = _fetch_sections(request, remotes)
                zero_s = SHIFT_S
            except RangesRefusedError:
                paths = []
        if not paths:
            paths = _fetch_whole(request, remotes)
        return FetchedMedia(
            paths[0], paths[1] if len(paths) > 1 else None, source="youtube",
            format_id="+".join(str(chosen["format_id"]) for chosen in formats),
            duration_s=duration_s, zero_s=zero_s,
        )  # fmt: skip

    @property
    def error_responses(self) -> list[HTTPError]:
        """Return the error answers of the last clip, also those that yt-dlp hid."""
        return self._ydl.error_responses

    def close(self) -> None:
        """Let go of connections."""
        self._ydl.close()


def _check_info(request: FetchRequest, info: Any) -> list[dict[str, Any]]:
    """Return the chosen formats of the very video that was asked for."""
    shown = quoted(request.location)
    if info is None or info.get("_type", "video") != "video":
        raise KnownError(Reason.UNSAFE_INPUT, f"{shown} gave a list, not a video")
    if info.get("id") != request.video_id:
        raise KnownError(
            Reason.UNSAFE_INPUT, f"{shown} gave another video: {quoted(info.get('id'))}"
        )
    if info.get("live_status") in ("is_live", "post_live"):
        raise KnownError(Reason.NOT_FOUND, "the video is being sent live")
    formats: list[dict[str, Any]] = info.get("requested_formats") or [info]
    return formats


def _remote_file(ydl: GuardedYoutubeDL, info: dict[str, Any], chosen: dict[str, Any]) -> RemoteFile:
    headers = {**info.get("http_headers", {}), **chosen.get("http_headers", {})}
    chunk = int((chosen.get("downloader_options") or {}).get("http_chunk_size") or 0)
    return RemoteFile(ydl, chosen["url"], headers, chunk=chunk)


def _is_section(
    request: FetchRequest, formats: list[dict[str, Any]], duration_s: float | None
) -> bool:
    sizes = [chosen.get("filesize") or chosen.get("filesize_approx") or 0 for chosen in formats]
    above = request.limits.section_above
    return by_section(request.length_s, duration_s, sum(sizes) or None, above)


def _fetch_sections(request: FetchRequest, remotes: list[RemoteFile]) -> list[str]:
    paths = []
    for number, remote in enumerate(remotes):
        path = Path(request.folder, f"section{number}.mkv")
        reader = RemoteReader(remote)
        try:
            copy_section(reader, request.start_s, request.end_s, path)
        finally:
            reader.close()
        paths.append(str(path))
    return paths


def _fetch_whole(request: FetchRequest, remotes: list[RemoteFile]) -> list[str]:
    paths = []
    for number, remote in enumerate(remotes):
        path = Path(request.folder, f"source{number}.media")
        remote.download(path)
        _check_head(path)
        paths.append(str(path))
    return paths


def warm_up(source: str) -> None:
    """Load what the first request needs, so that it goes out as soon as it may."""
    loaded = GuardedYoutubeDL({"quiet": True})
    if source == "youtube":
        loaded.get_info_extractor("Youtube")


def _format(height: int) -> str:
    """Return yt-dlp's format choice: direct files only, H.264 before others, the best audio."""
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
