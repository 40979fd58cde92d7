"""yt-dlp held to the hosts, the bytes and the time that one clip may have.

Every request of yt-dlp goes through `urlopen`, every redirect through one handler, and every byte
of an answer through a meter that sits below whatever unpacks it or throws it away. Only yt-dlp's
urllib handler is used, because it is the one whose redirects can be watched, and beside it, for
pages, one that impersonates a browser (`site.impersonation`).
"""

import http.client
import time
import types
import urllib.request
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.networking._urllib import HTTPHandler, RedirectHandler, UrllibRH
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.networking.impersonate import impersonate_preference

from schemas import KnownError, Reason
from schemas.messages import quoted
from schemas.secrets import redact_address

PAGE_BYTES = 64 * 2**20
"""No page or packed answer of a site is larger."""
_PLAYLISTS = ("mpegurl", "dash+xml", "x-scpls", "xspf", "smil", "vnd.ms-sstr", "f4m")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Allowance:
    """Hosts, bytes and time of one clip; `KnownError` when one is used up.

    A host stands for itself and everything below it, and for one port where it names one:
    `a.example` or `a.example:8080`.
    """

    def __init__(self, hosts: tuple[str, ...], max_bytes: int, timeout_s: float) -> None:
        self.hosts, self.max_bytes, self.timeout_s = hosts, max_bytes, timeout_s
        self.used = 0
        self._ends = time.monotonic() + timeout_s

    def check_address(self, address: str) -> None:
        """Raise `unsafe_input` for a scheme, host or port that this clip may not ask."""
        shown = quoted(redact_address(address), 200)
        try:
            parts = urlsplit(address)
            host = (parts.hostname or "").lower().rstrip(".")
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            raise KnownError(Reason.UNSAFE_INPUT, f"{shown} is no address") from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise KnownError(Reason.UNSAFE_INPUT, f"{shown} is not http or https and was not asked")
        if not any(_is_below(host, port, allowed) for allowed in self.hosts):
            raise KnownError(
                Reason.UNSAFE_INPUT,
                f"led to {shown}, whose host and port are none of {', '.join(self.hosts)}; if "
                f"it is right, allow it with --hosts {quoted(f'{host}:{port}', 100)}",
            )

    def use(self, n_bytes: int) -> None:
        """Count bytes that were read."""
        self.used += n_bytes
        if self.used > self.max_bytes:
            raise KnownError(
                Reason.TOO_LARGE, f"more than {self.max_bytes:,} bytes were read (--max-mb)"
            )
        self.check_time()

    def check_time(self) -> None:
        """Raise `timeout` when the clip's time is over."""
        if time.monotonic() > self._ends:
            raise KnownError(
                Reason.TIMEOUT, f"not here after {self.timeout_s:g} s (--clip-timeout)"
            )

    def check_length(self, n_bytes: int) -> None:
        """Raise `too_large` for an answer that says it is too large."""
        if n_bytes > self.max_bytes - self.used:
            raise KnownError(
                Reason.TOO_LARGE,
                f"the answer announces {n_bytes:,} bytes, {self.max_bytes:,} at most (--max-mb)",
            )


def _is_below(host: str, port: int | None, allowed: str) -> bool:
    parts = urlsplit(f"//{allowed}")
    name = parts.hostname or ""
    return (host == name or host.endswith(f".{name}")) and parts.port in (None, port)


class GuardedYoutubeDL(yt_dlp.YoutubeDL):
    """yt-dlp with an `Allowance` that is set anew for each clip."""

    allowance: Allowance
    error_responses: list[HTTPError]
    """Answers with an error status; extractors hide some of them."""
    media_only = False
    """Whether only media may be answered, because the address is that of a file."""
    may_be_playlist = False
    """Whether an HLS playlist may be answered in place of media."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.error_responses = []
        super().__init__(params, auto_init=True)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """Use only the handler whose redirects and bodies are watched."""
        owner = self

        class GuardedRH(UrllibRH):
            """The urllib handler with watched redirects, metered bodies and bounded unpacking."""

            RH_KEY = "GuardedUrllib"

            def _prepare_headers(self, request: Any, headers: Any) -> None:
                headers.setdefault("Accept-Encoding", "gzip, deflate")

            def _create_instance(self, **settings: Any) -> Any:
                opener = super()._create_instance(**settings)
                opener.add_handler(_MeterHandler(owner))
                for handler in opener.handlers:
                    if isinstance(handler, RedirectHandler):
                        handler.redirect_request = _watched(handler.redirect_request, owner)
                    elif isinstance(handler, HTTPHandler):
                        handler.gz = _bounded(zlib.MAX_WBITS | 16)
                        handler.deflate = _bounded(zlib.MAX_WBITS)
                        handler.brotli = _refuse_brotli
                return opener

        if not self.params.get("impersonate"):
            return super().build_request_director([GuardedRH], None)
        from pipelines.jobs.download.fetch.site.impersonation import impersonating_handler

        both = [GuardedRH, impersonating_handler(self)]
        return super().build_request_director(both, [impersonate_preference])

    def report_warning(self, message: str, only_once: bool = False) -> None:
        """Warn of each video anew: the cause of a failure is among the warnings."""
        super().report_warning(message)

    def write_debug(self, message: str, only_once: bool = False) -> None:
        """Hand the logger what is said to those who look for bugs, also without `verbose`."""
        if self.params.get("logger"):
            self.params["logger"].debug(message)

    def urlopen(self, req: Any) -> Response:
        """Send a request after its address was checked, and check the answer's head."""
        self.allowance.check_time()
        self.allowance.check_address(req if isinstance(req, str) else req.url)
        try:
            response: Response = super().urlopen(req)
        except HTTPError as error:
            self.error_responses.append(error)
            raise
        try:
            self.allowance.check_address(response.url)
            length = response.get_header("Content-Length") or ""
            if length.isascii() and length.isdecimal() and len(length) < 20:
                self.allowance.check_length(int(length))
            if self.media_only:
                kind = response.get_header("Content-Type") or ""
                _check_type(kind, may_be_hls=self.may_be_playlist)
        except KnownError:
            response.close()
            raise
        return response


def _check_type(content_type: str, *, may_be_hls: bool) -> None:
    kind = content_type.split(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise KnownError(Reason.FORMAT, f"the answer is a page ({kind}), not a media file")
    if any(word in kind for word in _PLAYLISTS) and not (may_be_hls and "mpegurl" in kind):
        raise KnownError(
            Reason.UNSAFE_INPUT,
            f"the answer is a playlist ({quoted(kind)}), which may lead anywhere; HLS of a "
            "mirror is followed with --allow-playlists",
        )


def _watched(follow: Callable[..., Any], owner: GuardedYoutubeDL) -> Callable[..., Any]:
    def redirect_request(req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            owner.allowance.check_address(newurl)
        except KnownError as error:
            raise carried(error) from error
        request = follow(req, fp, code, msg, headers, newurl)
        if urlsplit(newurl).netloc.lower() != urlsplit(req.full_url).netloc.lower():
            request.remove_header("Authorization")
        return request

    return redirect_request


def carried(error: KnownError) -> RequestError:
    """Wrap an error in one of yt-dlp's own, the only kind that it passes on."""
    return RequestError(cause=error)


def _bounded(window: int) -> Callable[[bytes], bytes]:
    """Return an unpacker of at most `PAGE_BYTES`."""

    def unpack(data: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=window)
        plain = unpacker.decompress(data, PAGE_BYTES)
        if unpacker.unconsumed_tail:
            error = KnownError(
                Reason.TOO_LARGE, f"a packed answer unpacks to more than {PAGE_BYTES:,} bytes"
            )
            raise carried(error) from error
        return plain

    return unpack


def _refuse_brotli(data: bytes) -> bytes:
    error = KnownError(Reason.FORMAT, "the answer is packed with brotli, which was not asked for")
    raise carried(error) from error


class _MeterHandler(urllib.request.BaseHandler):
    """Put the meter on every answer, redirects and errors too, before others read its body."""

    handler_order = 100

    def __init__(self, owner: GuardedYoutubeDL) -> None:
        self._owner = owner

    def http_response(self, request: Any, response: Any) -> Any:
        """Count what the answer's body gives."""
        _meter(response, self._owner.allowance)
        return response

    https_response = http_response


def _meter(raw: Any, allowance: Allowance) -> None:
    """Count each read; hand over what has arrived rather than wait until a block is full."""
    if not isinstance(raw, http.client.HTTPResponse):
        return

    def read(_: Any, amount: int | None = None) -> bytes:
        blocks = []
        size = 0
        try:
            while block := raw.read1(2**16 if amount is None else amount):
                allowance.use(len(block))
                blocks.append(block)
                if amount is not None:
                    return block
                size += len(block)
                if size > PAGE_BYTES:
                    raise KnownError(Reason.TOO_LARGE, f"a page has more than {PAGE_BYTES:,} bytes")
        except KnownError as error:
            raise carried(error) from error
        if raw.length:
            raise http.client.IncompleteRead(b"", raw.length)
        return b"".join(blocks)

    raw.read = types.MethodType(read, raw)  # type: ignore[method-assign]
