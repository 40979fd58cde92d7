"""Egress identities: who a site sees. Cookies, proxy and user agent together are one."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schemas import UsageError

DEFAULT_PER_HOUR = 280.0
"""Videos an hour of one identity; sites are known to hold back those that ask for about 300."""
_FIELDS = ("name", "cookies", "proxy", "user_agent", "videos_per_hour")
_PROXIES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One egress identity and its pace."""

    name: str = "default"
    """How records and messages call it; cookies and proxy are never written down."""
    cookies: str | None = None
    """Cookies file in Netscape form."""
    proxy: str | None = None
    user_agent: str | None = None
    per_hour: float = DEFAULT_PER_HOUR
    """Videos an hour, 0 for no budget."""

    @property
    def key(self) -> str:
        """Hash of what makes the identity, whatever it is called."""
        text = json.dumps([self.cookies, self.proxy, self.user_agent])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def one_identity(
    cookies: str | None, proxy: str | None, user_agent: str | None, per_hour: float
) -> Identity:
    """The identity of the options of a command."""
    return _checked(
        {"cookies": cookies, "proxy": proxy, "user_agent": user_agent}, per_hour, "default"
    )


def read_identities(path: Path, per_hour: float) -> tuple[Identity, ...]:
    """Identities from a JSON file: a list of objects with some of the fields of `Identity`.

    Example: [{"name": "home", "cookies": "home.txt"}, {"name": "lab", "proxy": "http://10.0.0.2"}].
    A cookies file is looked for beside the JSON file. `UsageError` for whatever is wrong.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"--identities {path} is no readable JSON file: {error}") from None
    if not isinstance(raw, list) or not raw or not all(isinstance(one, dict) for one in raw):
        raise UsageError(f"--identities {path} must hold a list of objects, one an identity")
    found = []
    for number, one in enumerate(raw):
        unknown = sorted(set(one) - set(_FIELDS))
        if unknown:
            raise UsageError(f"{path}: unknown field {unknown[0]!r}; known: {', '.join(_FIELDS)}")
        if one.get("cookies"):
            one = {**one, "cookies": str(path.parent / str(one["cookies"]))}
        found.append(_checked(one, per_hour, f"identity{number}"))
    if len({one.key for one in found}) < len(found) or len({one.name for one in found}) < len(
        found
    ):
        raise UsageError(f"{path}: two identities are the same; each needs its own name and egress")
    return tuple(found)


def _checked(raw: dict[str, Any], per_hour: float, name: str) -> Identity:
    cookies, proxy, agent = raw.get("cookies"), raw.get("proxy"), raw.get("user_agent")
    if cookies is not None:
        try:
            with Path(cookies).open("rb"):
                cookies = str(Path(cookies).resolve())
        except OSError as error:
            raise UsageError(f"cookies file {cookies} cannot be read: {error.strerror}") from None
    if proxy is not None and (
        urlsplit(proxy).scheme not in _PROXIES or not urlsplit(proxy).hostname
    ):
        raise UsageError(
            f"--proxy must be an address such as http://host:3128 ({', '.join(_PROXIES)})"
        )
    if agent is not None and (not agent or not agent.isprintable()):
        raise UsageError("--user-agent must be one line of text")
    try:
        pace = float(raw.get("videos_per_hour", per_hour))
    except (TypeError, ValueError):
        pace = -1.0
    if not 0 <= pace < float("inf"):
        raise UsageError(
            f"videos an hour is {raw.get('videos_per_hour', per_hour)}; it must be a number, "
            "0 for no budget"
        )
    return Identity(
        name=str(raw.get("name", name)), cookies=cookies, proxy=proxy, user_agent=agent,
        per_hour=pace,
    )  # fmt: skip
