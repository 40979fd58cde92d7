"""What stands between yt-dlp and a video, and what its user can do about it.

The reasons of failures are a closed list; these words say more. They are learnt from what yt-dlp
says, in its warnings and in the messages that it keeps for those who look for bugs.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from schemas import Reason

CLIENT_REFUSED = "the site refused the player request"
"""What is added to yt-dlp's words where an answer's status says so."""


@dataclass(frozen=True)
class Obstacle:
    """One thing that is in the way."""

    name: str
    said: re.Pattern[str]
    """What yt-dlp says where it is in the way."""
    reasons: frozenset[Reason]
    """Reasons of failures that it explains."""
    detail: str
    remedy: str


def _obstacle(
    name: str, said: str, reasons: Iterable[Reason], detail: str, remedy: str
) -> Obstacle:
    return Obstacle(name, re.compile(said, re.IGNORECASE), frozenset(reasons), detail, remedy)


OBSTACLES = (
    _obstacle(
        "sign_in",
        r"not a bot|^please sign in\b|: please sign in\b|captcha",
        [Reason.BOT_CHECK],
        "YouTube wants a sign-in from this address",
        "give cookies of a signed-in browser (--cookies, --identities), another --proxy, or wait",
    ),
    _obstacle(
        "client_refused",
        rf"{CLIENT_REFUSED}|skipping unsupported client|does not support cookies"
        r"|all player responses are invalid|page needs to be reloaded|not available on this app",
        [Reason.FORMAT, Reason.NETWORK, Reason.BOT_CHECK, Reason.RATE_LIMITED, Reason.GONE],
        "YouTube or yt-dlp refuses the client that was asked for",
        "choose another with --youtube-args player_client=NAME, or bring yt-dlp up to date",
    ),
    _obstacle(
        "javascript",
        r"no supported javascript runtime|(n challenge|signature) solving failed",
        [Reason.FORMAT],
        "yt-dlp has no JavaScript runtime that solves what YouTube asks of a player",
        "install deno (or node, bun, quickjs) and yt-dlp-ejs; beam check tells whether they are "
        "found",
    ),
    _obstacle(
        "token",
        r"require a gvs po token which was not provided|missing pot",
        [Reason.FORMAT],
        "YouTube wants a proof-of-origin token for every format of this client",
        "install a token provider (docs/download.md), choose a client without tokens with "
        "--youtube-args player_client=NAME, or try formats=missing_pot there",
    ),
    _obstacle(
        "sabr",
        r"missing a url\b.*12482|sabr",
        [Reason.FORMAT],
        "YouTube sends this client its formats by SABR alone, which yt-dlp cannot fetch",
        "choose another client with --youtube-args player_client=NAME, other cookies or none, or "
        "bring yt-dlp up to date",
    ),
)  # fmt: skip
"""Most telling first."""


def find_obstacle(reason: Reason, said: Iterable[str]) -> Obstacle | None:
    """Return what is in the way, by a failure's reason and all that yt-dlp said.

    >>> find_obstacle(Reason.GONE, ["Video unavailable"]) is None
    True
    """
    texts = [text.replace("’", "'") for text in said]  # noqa: RUF001 as YouTube writes
    for obstacle in OBSTACLES:
        if reason in obstacle.reasons and any(obstacle.said.search(text) for text in texts):
            return obstacle
    return None
