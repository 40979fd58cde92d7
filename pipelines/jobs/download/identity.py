"""Egress identities: who a site sees. Cookies, proxy and user agent together make one."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schemas import UsageError

DEFAULT_PER_HOUR = 280.0
"""Videos per hour of one identity; sites are known to throttle those that ask for about 300."""
_FIELDS = ("name", "cookies", "proxy", "user_agent", "videos_per_hour")
_LONGEST_NAME = 80
_NETSCAPE = re.compile(rb"#( Netscape)? HTTP Cookie File")
_MAGIC_BYTES = 100
_PROXIES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One egress identity and its rate."""

    name: str = "default"
    """Name in records and messages; cookies and proxy are never written down."""
    cookies: str | None = None
    """Cookies file in Netscape form."""
    proxy: str | None = None
    user_agent: str | None = None
    per_hour: float = DEFAULT_PER_HOUR
    """Videos per hour, 0 for no limit."""

    @property
    def key(self) -> str:
        """Return a hash of what makes the identity, whatever its name."""
        text = json.dumps([self.cookies, self.proxy, self.user_agent])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_identity(
    cookies: str | None, proxy: str | None, user_agent: str | None, per_hour: float
) -> Identity:
    """Return the identity that a command's options describe."""
    return _check_identity(
        {"cookies": cookies, "proxy": proxy, "user_agent": user_agent}, per_hour, "default"
    )


def read_identities(path: Path, per_hour: float) -> tuple[Identity, ...]:
    """Read identities from a JSON file: a list of objects with some of the fields of `Identity`.

    Example: [{"name": "home", "cookies": "home.txt"}, {"name": "lab", "proxy": "http://10.0.0.2"}].
    A relative cookies path starts at the JSON file's folder. Raises `UsageError` for whatever is
    wrong.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--identities {path} is no readable JSON file: {error}") from None
    if not isinstance(raw, list) or not raw or not all(isinstance(entry, dict) for entry in raw):
        raise UsageError(f"--identities {path} must hold a list of objects, one per identity")
    identities = []
    for number, entry in enumerate(raw):
        unknown = sorted(set(entry) - set(_FIELDS))
        if unknown:
            raise UsageError(f"{path}: unknown field {unknown[0]!r}; known: {', '.join(_FIELDS)}")
        for field in ("name", "cookies", "proxy", "user_agent"):
            if not isinstance(entry.get(field, ""), str | None):
                raise UsageError(f"{path}: {field} of identity {number} must be text")
        if entry.get("cookies"):
            entry = {**entry, "cookies": str(path.parent / entry["cookies"])}
        identities.append(_check_identity(entry, per_hour, f"identity{number}"))
    keys = {identity.key for identity in identities}
    names = {identity.name for identity in identities}
    if min(len(keys), len(names)) < len(identities):
        raise UsageError(f"{path}: two identities are the same; each needs its own name and egress")
    return tuple(identities)


def _check_identity(raw: dict[str, Any], per_hour: float, name: str) -> Identity:
    cookies, proxy, agent = raw.get("cookies"), raw.get("proxy"), raw.get("user_agent")
    if cookies is not None:
        try:
            with Path(cookies).open("rb") as file:
                head = file.read(_MAGIC_BYTES)
        except OSError as error:
            raise UsageError(f"cookies file {cookies} cannot be read: {error.strerror}") from None
        if not _NETSCAPE.match(head):
            raise UsageError(
                f"cookies file {cookies} is not in Netscape form, whose first line is "
                '"# Netscape HTTP Cookie File"; export it in that form'
            )
        cookies = str(Path(cookies).resolve())
    if proxy is not None and not _is_proxy(proxy):
        raise UsageError(
            f"--proxy must be an address such as http://host:3128 ({', '.join(_PROXIES)})"
        )
    if agent is not None and (not agent or not agent.isprintable()):
        raise UsageError("--user-agent must be one line of text")
    name = raw.get("name") or name
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"the identity name {name[:_LONGEST_NAME]!r} must be printable and have at most "
            f"{_LONGEST_NAME} letters"
        )
    try:
        rate = float(raw.get("videos_per_hour", per_hour))
    except (TypeError, ValueError):
        rate = -1.0
    if not 0 <= rate < float("inf"):
        raise UsageError(
            f"videos per hour is {raw.get('videos_per_hour', per_hour)}; it must be a number, "
            "0 for no budget"
        )
    return Identity(name=name, cookies=cookies, proxy=proxy, user_agent=agent, per_hour=rate)


def _is_proxy(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in _PROXIES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
