"""A video of YouTube or a file of a mirror, down to files in the request's folder.

From YouTube yt-dlp extracts and chooses formats; a mirror's address is asked as it is, so no page
is ever searched for other addresses. One `YoutubeDL` serves many clips.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yt_dlp.networking.exceptions import HTTPError

from pipelines.jobs.download.fetch.cut import by_section
from pipelines.jobs.download.fetch.formats import (
    Format,
    chosen_formats,
    format_choice,
    fragment_formats,
    is_by_sabr,
    is_much_longer,
)
from pipelines.jobs.download.fetch.fragments.client import playlist_text
from pipelines.jobs.download.fetch.fragments.fetch import FragmentedVideo
from pipelines.jobs.download.fetch.guard import Allowance, GuardedYoutubeDL
from pipelines.jobs.download.fetch.head import check_head, is_playlist, starts_with_index
from pipelines.jobs.download.fetch.messages import FetchedMedia, FetchRequest
from pipelines.jobs.download.fetch.remote import RangesRefusedError, RemoteFile, RemoteReader
from pipelines.jobs.download.fetch.section import SHIFT_S, copy_section
from pipelines.jobs.download.fetch.site.cookies import KeptCookies
from pipelines.jobs.download.fetch.site.sabr import fetch_by_sabr
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
_HEAD_BYTES = 4096
"""So many of a file tell whether its index is in front."""

_WHY_LEFT_OUT = re.compile(r"SABR|PO Token")


class MessageLog:
    """The logger that yt-dlp is given; it keeps messages for the failure's detail."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.notes: list[str] = []
        """What says why formats are missing, out of all that it tells those who look for bugs."""

    def clear(self) -> None:
        """Forget everything before the next video."""
        for messages in (self.warnings, self.errors, self.notes):
            messages.clear()

    def debug(self, message: str) -> None:
        """Keep a message about formats that were left out."""
        if _WHY_LEFT_OUT.search(message):
            self.notes.append(message)

    def warning(self, message: str) -> None:
        """Keep a warning."""
        self.warnings.append(message)

    def error(self, message: str) -> None:
        """Keep an error."""
        self.errors.append(message)


@dataclass
class KeptVideo:
    """What was fetched of a video, as long as further clips of it may come."""

    folder: Path
    info: dict[str, Any] | None = None
    """What the site says of it."""
    files: list[str] = field(default_factory=list)
    """Its files, where it was fetched whole."""
    fragments: FragmentedVideo | None = None
    """Where it comes as fragments."""


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
            "format": format_choice(request.limits.height, sabr=request.sabr),
            "ffmpeg_location": ffmpeg_binary(),
            "js_runtimes": {name: {} for name in JAVASCRIPT}, "http_headers": {},
        }  # fmt: skip
        self._cookies: KeptCookies | None = None
        if request.cookies and request.kept_cookies:
            self._cookies = KeptCookies(Path(request.cookies), Path(request.kept_cookies))
        elif request.cookies:
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
        if request.impersonate:
            from pipelines.jobs.download.fetch.site.impersonation import read_target

            params["impersonate"] = read_target(request.impersonate)
        self._ydl = GuardedYoutubeDL(params)
        self._video = KeptVideo(Path())

    def fetch(self, request: FetchRequest) -> FetchedMedia:
        """Fetch a clip's media; may raise whatever yt-dlp raises (see `reasons.classify_error`)."""
        self.messages.clear()
        self._ydl.error_responses.clear()
        folder = Path(request.shared_folder or request.folder)
        if self._video.folder != folder:
            self._video = KeptVideo(folder)
        limits = request.limits
        self._ydl.allowance = Allowance(request.hosts, limits.max_bytes, limits.timeout_s)
        of_mirror = request.source == "mirror"
        with self._newest_cookies():
            fetched = self._mirror(request) if of_mirror else self._youtube(request)
        fetched.n_bytes = self._ydl.allowance.used
        return fetched

    @contextmanager
    def _newest_cookies(self) -> Iterator[None]:
        """Use the identity's newest cookies in the block, and keep what the site sends."""
        if self._cookies is None:
            yield
            return
        self._cookies.load(self._ydl.cookiejar)
        try:
            yield
        finally:
            self._cookies.save(self._ydl.cookiejar)

    def forget(self) -> None:
        """Let go of the video that was kept for further clips of it."""
        self._video = KeptVideo(Path())

    def _mirror(self, request: FetchRequest) -> FetchedMedia:
        video, source = self._video, redact_address(request.location)
        if video.fragments is None and not video.files:
            self._ask_mirror(request, source)
        if video.fragments is not None:
            return video.fragments.fetch(request)
        return FetchedMedia(video.files[0], None, source, "mirror", None)

    def _ask_mirror(self, request: FetchRequest, source: str) -> None:
        """Fetch what lies at a mirror's address: a file, or a playlist where it may be one."""
        path = self._video.folder / "source.media"
        headers = dict(self._ydl.params["http_headers"])
        pause_s = request.limits.first_pause_s
        remote = RemoteFile(self._ydl, request.location, headers, first_pause_s=pause_s)
        self._ydl.media_only, self._ydl.may_be_playlist = True, request.allow_playlists
        try:
            remote.download(path)
        finally:
            self._ydl.may_be_playlist = False
        if request.allow_playlists and is_playlist(path):
            folder, height = self._video.folder, request.limits.height
            video = FragmentedVideo(self._ydl, folder, source, "hls", first_pause_s=pause_s)
            video.add_playlist(playlist_text(path.read_bytes()), remote.address, headers, height)
            self._video.fragments = video
            return
        check_head(path)
        self._video.files = [str(path)]

    def _youtube(self, request: FetchRequest) -> FetchedMedia:
        if self._video.info is None:
            self._ydl.media_only = False
            info = self._ydl.extract_info(request.location, download=False)
            _check_info(request, info)
            self._video.info = info
        self._ydl.media_only = True
        info = self._video.info
        length_s, height = request.length_s, request.limits.height
        parts, files = fragment_formats(self._ydl, info, length_s, height), chosen_formats(info)
        if parts and not self._video.files:
            try:
                return self._fragments(request, info, parts)
            except (KnownError, HTTPError) as error:
                if parts == files or not _may_be_a_file(error):
                    raise
        if all(map(is_by_sabr, files)):
            return self._by_sabr(info, files)
        return self._files(request, info, files)

    def _fragments(
        self, request: FetchRequest, info: dict[str, Any], formats: list[Format]
    ) -> FetchedMedia:
        """Fetch what covers the clip of formats that come as fragments."""
        video = self._video.fragments
        if video is None:
            folder, pause_s = self._video.folder, request.limits.first_pause_s
            names = _format_id(formats)
            video = FragmentedVideo(self._ydl, folder, "youtube", names, first_pause_s=pause_s)
            for chosen in formats:
                video.add_format(chosen, _headers(info, chosen))
            self._video.fragments = video
        return video.fetch(request)

    def _by_sabr(self, info: dict[str, Any], formats: list[Format]) -> FetchedMedia:
        """Fetch formats whole with yt-dlp's own downloader for SABR."""
        video = self._video
        video.files = video.files or fetch_by_sabr(self._ydl, video.folder, info, formats)
        audio = video.files[1] if len(video.files) > 1 else None
        names, duration_s = _format_id(formats), info.get("duration")
        return FetchedMedia(video.files[0], audio, "youtube", names, duration_s)

    def _files(
        self, request: FetchRequest, info: dict[str, Any], formats: list[Format]
    ) -> FetchedMedia:
        """Fetch formats that are files, whole or the section of each."""
        remotes = [_remote_file(self._ydl, info, chosen) for chosen in formats]
        duration_s = info.get("duration")
        paths: list[str] = []
        zero_s = None
        if not self._video.files:
            paths = _fetch_sections(request, formats, remotes, duration_s)
            zero_s = SHIFT_S if paths else None
        if not paths:
            self._video.files = self._video.files or _fetch_whole(self._video.folder, remotes)
            paths = self._video.files
        return FetchedMedia(
            paths[0], paths[1] if len(paths) > 1 else None, source="youtube",
            format_id=_format_id(formats), duration_s=duration_s, zero_s=zero_s,
            how="cut" if zero_s is None else "section",
        )  # fmt: skip

    @property
    def error_responses(self) -> list[HTTPError]:
        """Return the error answers of the last clip, also those that yt-dlp hid."""
        return self._ydl.error_responses

    def close(self) -> None:
        """Let go of connections."""
        self._ydl.close()


def _may_be_a_file(error: KnownError | HTTPError) -> bool:
    """Tell whether a video whose fragments were refused may still come as a file."""
    if isinstance(error, HTTPError):
        return error.status in (403, 404, 410)
    return error.reason in (Reason.FORMAT, Reason.CORRUPT)


def _check_info(request: FetchRequest, info: Any) -> None:
    """Raise `KnownError` unless it is the very video that was asked for."""
    shown = quoted(request.location)
    if info is None or info.get("_type", "video") != "video":
        raise KnownError(Reason.UNSAFE_INPUT, f"{shown} gave a list, not a video")
    if info.get("id") != request.video_id:
        raise KnownError(
            Reason.UNSAFE_INPUT, f"{shown} gave another video: {quoted(info.get('id'))}"
        )
    if info.get("live_status") in ("is_live", "post_live"):
        raise KnownError(Reason.NOT_FOUND, "the video is being sent live")


def _headers(info: dict[str, Any], chosen: Format) -> dict[str, str]:
    return {**info.get("http_headers", {}), **chosen.get("http_headers", {})}


def _format_id(formats: list[Format]) -> str:
    return "+".join(str(chosen["format_id"]) for chosen in formats)


def _remote_file(ydl: GuardedYoutubeDL, info: dict[str, Any], chosen: Format) -> RemoteFile:
    chunk = int((chosen.get("downloader_options") or {}).get("http_chunk_size") or 0)
    return RemoteFile(ydl, chosen["url"], _headers(info, chosen), chunk=chunk)


def _is_section(
    request: FetchRequest, formats: list[dict[str, Any]], duration_s: float | None
) -> bool:
    sizes = [chosen.get("filesize") or chosen.get("filesize_approx") or 0 for chosen in formats]
    above = request.limits.section_above
    return by_section(request.length_s, duration_s, sum(sizes) or None, above)


def _fetch_sections(
    request: FetchRequest,
    formats: list[Format],
    remotes: list[RemoteFile],
    duration_s: float | None,
) -> list[str]:
    """Return the section of each file; nothing where the whole files are to be fetched."""
    large = _is_section(request, formats, duration_s)
    indexed = is_much_longer(request.length_s, duration_s) and all(
        starts_with_index(remote.first_bytes(_HEAD_BYTES)) for remote in remotes
    )
    if not large and not indexed:
        return []
    try:
        return _copy_sections(request, remotes)
    except RangesRefusedError:
        return []
    except KnownError as error:
        if large or error.reason is not Reason.FORMAT:
            raise
        return []


def _copy_sections(request: FetchRequest, remotes: list[RemoteFile]) -> list[str]:
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


def _fetch_whole(folder: Path, remotes: list[RemoteFile]) -> list[str]:
    paths = []
    for number, remote in enumerate(remotes):
        path = folder / f"source{number}.media"
        remote.download(path)
        check_head(path)
        paths.append(str(path))
    return paths


def warm_up(source: str) -> None:
    """Load what the first request needs, so that it goes out as soon as it may."""
    loaded = GuardedYoutubeDL({"quiet": True})
    if source == "youtube":
        loaded.get_info_extractor("Youtube")
