"""yt-dlp held to the hosts, the bytes and the time that one clip may have.

Every request of yt-dlp, of its extractors and of its downloaders, goes through `urlopen`, and every
redirect through one handler; both are watched here. Only yt-dlp's urllib handler is used, because
it is the one whose redirects can be watched. What a page unpacks to is bounded as well.
"""

import http.client
import time
import types
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.networking._urllib import HTTPHandler, RedirectHandler, UrllibRH
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, RequestError

from schemas import KnownError, Reason

_PAGE_BYTES = 64 * 2**20
"""No page or packed answer of a site is larger."""
_PLAYLISTS = ("mpegurl", "dash+xml", "x-scpls", "xspf", "smil", "vnd.ms-sstr", "f4m")


class Allowance:
    """Hosts, bytes and time of one clip; `KnownError` when one is used up."""

    def __init__(self, hosts: tuple[str, ...], max_bytes: int, timeout_s: float) -> None:
        self.hosts, self.max_bytes, self.timeout_s = hosts, max_bytes, timeout_s
        self.used = 0
        self._ends = time.monotonic() + timeout_s

    def check_address(self, address: str) -> None:
        """`unsafe_input` for a scheme or a host that this clip has no business with."""
        try:
            parts = urlsplit(address)
            host = (parts.hostname or "").lower().rstrip(".")
        except ValueError:
            raise KnownError(Reason.UNSAFE_INPUT, f"{address[:200]!r} is no address") from None
        if parts.scheme not in ("http", "https"):
            raise KnownError(
                Reason.UNSAFE_INPUT, f"{address[:200]!r} is not http or https and was not asked"
            )
        if not any(host == one or host.endswith(f".{one}") for one in self.hosts):
            raise KnownError(
                Reason.UNSAFE_INPUT,
                f"led to {address[:200]!r}, whose host is none of {', '.join(self.hosts)}; if "
                f"it is right, allow it with --hosts {host}",
            )

    def use(self, n_bytes: int) -> None:
        """Count what was read."""
        self.used += n_bytes
        if self.used > self.max_bytes:
            raise KnownError(
                Reason.TOO_LARGE, f"more than {self.max_bytes:,} bytes were read (--max-mb)"
            )
        self.check_time()

    def check_time(self) -> None:
        """`timeout` when the clip's time is over."""
        if time.monotonic() > self._ends:
            raise KnownError(
                Reason.TIMEOUT, f"not here after {self.timeout_s:g} s (--clip-timeout)"
            )

    def check_length(self, length: str | None) -> None:
        """Refuse an answer that says it is too large."""
        if length and length.isdecimal() and int(length) > self.max_bytes - self.used:
            raise KnownError(
                Reason.TOO_LARGE,
                f"the answer announces {int(length):,} bytes, {self.max_bytes:,} at most "
                "(--max-mb)",
            )


class GuardedYoutubeDL(yt_dlp.YoutubeDL):
    """yt-dlp with an `Allowance` that is set anew for each clip."""

    allowance: Allowance
    refusals: list[HTTPError]
    """Answers with an error status; extractors hide some of them."""
    media_only = False
    """Whether only media may be answered, because the address is that of a file."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.refusals = []
        super().__init__(params, auto_init=True)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """Use only the handler whose redirects are watched."""
        owner = self

        class GuardedRH(UrllibRH):
            """The urllib handler with watched redirects and bounded unpacking."""

            RH_KEY = "GuardedUrllib"

            def _create_instance(self, **settings: Any) -> Any:
                opener = super()._create_instance(**settings)
                for handler in opener.handlers:
                    if isinstance(handler, RedirectHandler):
                        handler.redirect_request = _watched(handler.redirect_request, owner)
                    elif isinstance(handler, HTTPHandler):
                        handler.gz = _bounded(zlib.MAX_WBITS | 16)
                        handler.deflate = _bounded(zlib.MAX_WBITS)
                return opener

        return super().build_request_director([GuardedRH], None)

    def urlopen(self, req: Any) -> Response:
        """Ask, after the address was checked, and count what the answer gives."""
        self.allowance.check_time()
        self.allowance.check_address(req if isinstance(req, str) else req.url)
        try:
            response: Response = super().urlopen(req)
        except HTTPError as error:
            self.refusals.append(error)
            raise
        try:
            self.allowance.check_address(response.url)
            self.allowance.check_length(response.get_header("Content-Length"))
            if self.media_only:
                _check_type(response.get_header("Content-Type") or "")
        except KnownError:
            response.close()
            raise
        _meter(response, self.allowance)
        return response


def _check_type(content_type: str) -> None:
    kind = content_type.split(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise KnownError(Reason.FORMAT, f"the answer is a page ({kind}), not a media file")
    if any(word in kind for word in _PLAYLISTS):
        raise KnownError(
            Reason.UNSAFE_INPUT, f"the answer is a playlist ({kind}), which may lead anywhere"
        )


def _watched(follow: Callable[..., Any], owner: GuardedYoutubeDL) -> Callable[..., Any]:
    def redirect_request(req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            owner.allowance.check_address(newurl)
        except KnownError as error:  # yt-dlp passes on only errors of its own
            raise RequestError(cause=error) from error
        return follow(req, fp, code, msg, headers, newurl)

    return redirect_request


def _bounded(window: int) -> Callable[[bytes], bytes]:
    """Unpack at most `_PAGE_BYTES`."""

    def unpack(data: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=window)
        plain = unpacker.decompress(data, _PAGE_BYTES)
        if unpacker.unconsumed_tail:
            error = KnownError(
                Reason.TOO_LARGE, f"a packed answer unpacks to more than {_PAGE_BYTES:,} bytes"
            )
            raise RequestError(cause=error) from error
        return plain

    return unpack


def _meter(response: Response, allowance: Allowance) -> None:
    """Count each read; hand over what has come rather than wait until a block is full."""
    raw = response.fp
    if not isinstance(raw, http.client.HTTPResponse):
        return  # unpacked already, and bounded there

    def read(_: Any, amount: int | None = None) -> bytes:
        blocks = []
        while block := raw.read1(2**16 if amount is None else amount):
            allowance.use(len(block))
            blocks.append(block)
            if amount is not None:
                break
            if allowance.used > _PAGE_BYTES and sum(map(len, blocks)) > _PAGE_BYTES:
                raise KnownError(Reason.TOO_LARGE, f"a page has more than {_PAGE_BYTES:,} bytes")
        return b"".join(blocks)

    raw.read = types.MethodType(read, raw)  # type: ignore[method-assign]
