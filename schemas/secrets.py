"""Secrets kept out of every record, message and screen: passwords, tokens, signed addresses.

An address loses its user, its password and the values of its query; what is known to be secret is
hidden wherever it stands, in whatever encoding.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
"""What stands in the place of a secret."""

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"<>]+")
_USER = re.compile(r"^(.*/|)[^/\s]+:[^/\s]*@(?=[^/@]+(/|$))")
"""User and password of an address whose scheme was forgotten."""
_TEMPLATE_FIELD = re.compile(r"\{\w+\}")
_SECRET_OPTIONS = ("proxy", "user-agent", "youtube-args")
_SECRET_WORDS = re.compile(r"secret|passw|token|credential|access-key|connection-string|api-key")
_SHORTEST = 4
"""Shorter words are hidden only where their place says that they are secret."""


def redact_address(address: str) -> str:
    """Return an address without user, password, query values and fragment.

    >>> redact_address("https://me:pw@a.org/{clip_key}.mp4?token=abc&from={start}")
    'https://***@a.org/{clip_key}.mp4?token=***&from={start}'
    >>> redact_address("/data/clips"), redact_address("me:pw@a.org/clips")
    ('/data/clips', '***@a.org/clips')
    """
    scheme, sign, rest = address.partition("://")
    if not sign:
        return _USER.sub(rf"\1{HIDDEN}@", address)
    rest, number_sign, _ = rest.partition("#")
    rest, question_mark, query = rest.partition("?")
    host, slash, path = rest.partition("/")
    port = host.partition(":")[2]
    if "@" in path and "@" not in host and port and not port.isdecimal():
        host, slash, path = f"@{rest.rpartition('@')[2]}", "", ""  # a slash in the password
    if "@" in host:
        host = f"{HIDDEN}@{host.rpartition('@')[2]}"
    query = "&".join(_redact_pair(pair) for pair in query.split("&"))
    fragment = f"#{HIDDEN}" if number_sign else ""
    return f"{scheme}://{host}{slash}{path}{question_mark}{query}{fragment}"


def _redact_pair(pair: str) -> str:
    name, sign, value = pair.partition("=")
    if not sign:
        return pair if not pair or _TEMPLATE_FIELD.fullmatch(pair) else HIDDEN
    return f"{name}={value if _TEMPLATE_FIELD.fullmatch(value) else HIDDEN}"


def secrets_of_address(address: str) -> Iterator[str]:
    """Yield what is secret in an address: user, password, query values and fragment."""
    _, sign, rest = address.partition("://")
    if not sign:
        return
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    user, at_sign, _ = rest.rpartition("@")
    if at_sign:
        yield user
        yield from user.split(":", 1)
    for pair in query.split("&"):
        value = pair.partition("=")[2] or pair
        if not _TEMPLATE_FIELD.fullmatch(value):
            yield value
    yield fragment


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text with some secrets hidden, and what is secret in every address in it.

    >>> redact("GET http://me:pw@a.org/x?sig=1 said: no such user s3cret", ["s3cret"])
    'GET http://***@a.org/x?sig=*** said: no such user ***'
    """
    spellings = {
        spelling
        for secret in secrets
        if len(secret) >= _SHORTEST
        for spelling in (
            secret, quote(secret), quote(secret, safe=""), quote_plus(secret), unquote(secret),
            shlex.quote(secret), repr(secret)[1:-1],
        )
    }  # fmt: skip
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    return _ADDRESS.sub(lambda match: redact_address(match[0]), text)


def redact_command(words: Sequence[str]) -> str:
    """Return a command line, quoted for the shell, without the values of secret options.

    >>> redact_command(["beam", "run", "--proxy=http://a:it's@b", "--out", "my out"])
    "beam run '--proxy=***' --out 'my out'"
    """
    shown = []
    hide_next = False
    for word in words:
        option, sign, value = word.partition("=")
        if hide_next and not word.startswith("--"):
            shown.append(HIDDEN)
        elif _is_secret_option(option) and sign:
            shown.append(f"{option}={HIDDEN}")
        elif word.startswith("--") and sign:
            shown.append(f"{option}={redact_address(value)}")
        else:
            shown.append(redact_address(word))
        hide_next = _is_secret_option(option) and not sign
    return shlex.join(shown)


def _is_secret_option(word: str) -> bool:
    name = word.removeprefix("--").replace("_", "-").lower()
    return word.startswith("--") and (
        name in _SECRET_OPTIONS or _SECRET_WORDS.search(name) is not None
    )
