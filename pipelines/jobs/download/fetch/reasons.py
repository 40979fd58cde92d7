"""Classify what yt-dlp and a site say by the closed list of reasons.

An HTTP status and the kind of an exception count first; then the words, most specific first. What
nobody knows counts as `network`: it may pass, and no clip is given up for an unknown sentence.
"""

import http.client
import re
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz

from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError
from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, YoutubeDLError

from pipelines.jobs.download.fetch.obstacles import CLIENT_REFUSED, find_obstacle
from schemas import KnownError, Reason

_STATUS = {408: Reason.TIMEOUT, 429: Reason.RATE_LIMITED, 451: Reason.GEO_BLOCKED}
_OF_MIRROR = {
    401: Reason.PRIVATE, 403: Reason.PRIVATE, 404: Reason.GONE, 410: Reason.GONE
}  # fmt: skip
"""Reason by the status of a mirror's answer; a site says it in words instead."""

_WORDS: tuple[tuple[Reason, str], ...] = (
    (
        Reason.BOT_CHECK,
        r"not a bot|captcha|your ip is likely being blocked|unusual traffic"
        r"|page needs to be reloaded|anti-bot challenge|^please sign in\b",
    ),
    (
        Reason.RATE_LIMITED,
        r"rate.?limit|too many requests|isn't available, try again later",
    ),
    (
        Reason.GEO_BLOCKED,
        r"(in|from) your (country|location|region)|geo.?restrict|not available in your area",
    ),
    (
        Reason.AGE_RESTRICTED,
        r"confirm your age|age.?restricted|inappropriate for some users|age verification"
        r"|adults only",
    ),
    (
        Reason.PRIVATE,
        r"private video|video is private|members.only|members on level|join this channel"
        r"|requires payment|music premium|premium members|registered users|login details"
        r"|granted access|workspace administrator|purchase",
    ),
    (
        Reason.NOT_FOUND,
        r"live event will begin|premieres in|premiere will begin|is upcoming|not yet available"
        r"|offline\b.*try again|still being processed|processing this video",
    ),
    (
        Reason.GONE,
        r"video (is )?(unavailable|not available)|(been|was) removed|no longer available"
        r"|does(n't| not) exist|account .*terminated|has been terminated|closed their youtube"
        r"|copyright|isn't available any ?more|deleted|not available on this app"
        r"|recording (is )?not available",
    ),
    (
        Reason.FORMAT,
        r"requested format is not available|no video formats|only images are available"
        r"|drm.?protected|unsupported url|not a valid url|live stream",
    ),
    (Reason.TOO_LARGE, r"larger than max-filesize"),
    (Reason.TIMEOUT, r"timed out|timeout"),
)
_REFUSED = (400, 401, 403, 404)
"""Answers of a site that does not know a client, or does not want it."""
_RULES = tuple((reason, re.compile(words)) for reason, words in _WORDS)
_MOST_DETAIL = 4000
_LONGEST_HEADER = 100
_LONGEST_WAIT_S = 86_400.0


@dataclass(frozen=True)
class FetchFailure:
    """Why a try failed, and what the site asked for."""

    reason: Reason
    detail: str
    retry_after_s: float | None = None
    """Seconds that the site wants to be left alone."""
    obstacle: str = ""
    """Name of what is in the way, where it is one that has a remedy (`obstacles`)."""


def classify_error(
    error: BaseException,
    *,
    site: bool,
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    error_responses: Sequence[HTTPError] = (),
) -> FetchFailure:
    """Return the reason behind an exception out of yt-dlp.

    `site` says that a site was asked rather than a mirror: a site refuses a media file (403) to an
    address that asks too much, on a mirror it means access denied. The last of yt-dlp's `warnings`
    are kept with its message, because they often name the cause, and so do its `notes` for those
    who look for bugs; `error_responses` are answers with an error status, which extractors may hide
    behind a sentence of their own.
    """
    chain = list(_chain(error))
    known = next((link for link in chain if isinstance(link, KnownError)), None)
    if known is not None:
        return FetchFailure(known.reason, known.detail)
    text = _message(error)
    detail = " | ".join(dict.fromkeys([text, *warnings[-3:]]))[:_MOST_DETAIL]
    answer = next((link for link in chain if isinstance(link, HTTPError)), None)
    reason = _of_exceptions(chain, answer, site) or _of_words(text)
    if reason is None and error_responses:
        reason = _of_status(error_responses[-1].status, site)
    waits = (retry_after(answer.response.get_header("Retry-After")) for answer in error_responses)
    if reason is None and not _is_of_site(error):
        return FetchFailure(Reason.INTERNAL, "".join(traceback.format_exception(error)))
    reason = reason or Reason.NETWORK
    said = [text, *warnings, *notes]
    if "player response" in text and error_responses and error_responses[-1].status in _REFUSED:
        said.append(CLIENT_REFUSED)
    obstacle = find_obstacle(reason, said) if site else None
    if obstacle is not None:
        detail = f"{obstacle.detail}: {obstacle.remedy} | {detail}"[:_MOST_DETAIL]
    return FetchFailure(
        reason, detail, max(filter(None, waits), default=None), obstacle.name if obstacle else ""
    )


def _is_of_site(error: BaseException) -> bool:
    """Tell what a site or the network caused from a bug of ours: by its kind, or where it arose."""
    if isinstance(error, YoutubeDLError | OSError | http.client.HTTPException | EOFError):
        return True
    modules = [
        frame.f_globals.get("__name__", "").split(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    theirs = max((place for place, name in enumerate(modules) if name == "yt_dlp"), default=-1)
    ours = max((place for place, name in enumerate(modules) if name == "pipelines"), default=-1)
    return theirs > ours


def _of_exceptions(
    chain: Sequence[BaseException], http: HTTPError | None, site: bool
) -> Reason | None:
    kinds: tuple[tuple[type[BaseException], Reason], ...] = (
        (GeoRestrictedError, Reason.GEO_BLOCKED),
        (TimeoutError, Reason.TIMEOUT),
        (ContentTooShortError, Reason.NETWORK),
        (CertificateVerifyError, Reason.NETWORK),
        (MemoryError, Reason.TOO_LARGE),
    )
    for kind, reason in kinds:
        if any(isinstance(link, kind) for link in chain):
            return reason
    if any("redirection to url" in str(link).lower() for link in chain):
        return Reason.UNSAFE_INPUT  # urllib's words for a redirect to another scheme
    return _of_status(http.status, site) if http is not None else None


def _of_status(status: int, site: bool) -> Reason | None:
    if status == 403 and site:
        return Reason.RATE_LIMITED
    if status in _OF_MIRROR and not site:
        return _OF_MIRROR[status]
    return _STATUS.get(status, Reason.NETWORK)


def reason_of_words(text: str) -> Reason:
    """Return the reason that a message tells, `network` when it tells none.

    >>> reason_of_words("[youtube] x: Private video. Sign in if you've been granted access").value
    'private'
    """
    return _of_words(text) or Reason.NETWORK


def _of_words(text: str) -> Reason | None:
    plain = re.sub(r"\s+", " ", text.replace("’", "'").lower())  # noqa: RUF001 as YouTube writes
    plain = re.sub(r"^(error: )?(\[[^\]]+\] )?(\S{11}: )?", "", plain)
    return next((reason for reason, rule in _RULES if rule.search(plain)), None)


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date; at most a day.

    >>> retry_after("120"), retry_after("soon"), retry_after(None)
    (120.0, None, None)
    """
    text = (value or "")[:_LONGEST_HEADER].strip()
    if re.fullmatch(r"[0-9]+", text):
        return min(float(text), _LONGEST_WAIT_S)
    parts = parsedate_tz(text)
    if parts is None:
        return None
    try:  # a date need not exist, nor fit what this machine can count
        wait = mktime_tz(parts) - time.time()
    except (ValueError, OverflowError, OSError):
        return None
    return min(max(wait, 0.0), _LONGEST_WAIT_S)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and all that led to it, also by yt-dlp's own links."""
    waiting, seen = [error], set[int]()
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = getattr(link, "exc_info", None)
        links = [
            getattr(link, "cause", None), getattr(link, "reason", None), link.__cause__,
            link.__context__, inner[1] if inner else None,
        ]  # fmt: skip
        waiting.extend(cause for cause in links if isinstance(cause, BaseException))


def _message(error: BaseException) -> str:
    text = str(error)[:_MOST_DETAIL].removeprefix("ERROR: ").strip()
    return text or type(error).__name__
