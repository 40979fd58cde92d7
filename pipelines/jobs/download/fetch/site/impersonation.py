"""A browser's handshake for what yt-dlp asks of a site, held to the same limits as everything else.

curl_cffi speaks TLS and HTTP/2 as browsers do. It would follow redirects by itself, so they are
followed here, after each address was checked, and every block that it unpacks is counted. Media
are not asked for in this way: their bytes go through the guard's own handler.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import curl_cffi.requests
from yt_dlp.networking import Request
from yt_dlp.networking._curlcffi import CurlCFFIRH
from yt_dlp.networking._helper import get_redirect_method
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, UnsupportedRequest
from yt_dlp.networking.impersonate import ImpersonateTarget

from pipelines.jobs.download.fetch.guard import PAGE_BYTES, GuardedYoutubeDL, carried
from schemas import KnownError, Reason

_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_OF_ONE_HOST = ("Authorization", "Cookie")


def available_targets() -> list[str]:
    """Return the browsers that can be impersonated, such as `chrome-152:windows-10`."""
    return [str(target) for target in CurlCFFIRH.supported_targets]


class _CountedResponse(curl_cffi.requests.Response):
    """An answer whose blocks are counted as they are read."""

    owner: GuardedYoutubeDL

    def iter_content(self, *args: Any, **more: Any) -> Iterator[bytes]:
        """Yield the unpacked blocks of the answer."""
        size = 0
        for block in super().iter_content(*args, **more):  # type: ignore[no-untyped-call]
            size += len(block)
            try:
                self.owner.allowance.use(len(block))
                if size > PAGE_BYTES:
                    raise KnownError(Reason.TOO_LARGE, f"a page has more than {PAGE_BYTES:,} bytes")
            except KnownError as error:
                raise carried(error) from error
            yield block


class _ImpersonatingRH(CurlCFFIRH):
    """yt-dlp's curl_cffi handler with watched redirects and counted bodies."""

    owner: GuardedYoutubeDL
    response_class: type[_CountedResponse]

    def _create_instance(self, cookiejar: Any = None) -> Any:
        return curl_cffi.requests.Session(
            cookies=cookiejar, allow_redirects=False, response_class=self.response_class
        )

    def _validate(self, request: Request) -> None:
        if self.owner.media_only:
            raise UnsupportedRequest("media are not asked for as a browser")
        super()._validate(request)

    def _send(self, request: Request) -> Response:
        for _ in range(_MOST_REDIRECTS):
            try:
                found: Response = super()._send(request)
            except HTTPError as error:
                target = error.response.get_header("Location")
                if error.status not in _REDIRECTS or not target:
                    raise
                last = error
                request = _redirected(request, error.status, target)
                error.response.close()
                try:
                    self.owner.allowance.check_address(request.url)
                except KnownError as refused:
                    raise carried(refused) from refused
            else:
                return found
        raise HTTPError(last.response, redirect_loop=True)


def impersonating_handler(owner: GuardedYoutubeDL) -> type[CurlCFFIRH]:
    """Return a handler of yt-dlp that impersonates within the allowance of `owner`."""

    class CountedResponse(_CountedResponse):
        """An answer to `owner`."""

    class ImpersonatingRH(_ImpersonatingRH):
        """The handler of `owner`."""

        RH_KEY = "GuardedCurlCFFI"

    CountedResponse.owner = ImpersonatingRH.owner = owner
    ImpersonatingRH.response_class = CountedResponse
    return ImpersonatingRH


def read_target(name: str) -> ImpersonateTarget | None:
    """Return a target by its name (`chrome`, `chrome-152`, `safari:ios`); None if there is none."""
    try:
        wanted = ImpersonateTarget.from_str(name)
    except ValueError:
        return None
    there = any(wanted in target for target in CurlCFFIRH.supported_targets)
    return wanted if name and there else None


def _redirected(request: Request, status: int, target: str) -> Request:
    follow = request.copy()
    method = get_redirect_method(request.method, status)
    follow.url = urljoin(request.url, target)
    if method != request.method:
        follow.data, follow.method = None, method
    if urlsplit(follow.url).netloc.lower() != urlsplit(request.url).netloc.lower():
        for name in _OF_ONE_HOST:
            follow.headers.pop(name, None)
    return follow
