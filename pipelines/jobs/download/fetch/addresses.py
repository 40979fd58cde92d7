"""Names and addresses of clips: what may stand in a path, a YouTube address, a mirror's address.

A name from an annotation file becomes part of a path and of an address, so it may hold only
letters, digits and a few other characters, and a YouTube id must look like one. No name is ever a
word of a command line: programs get paths that this package made up.
"""

import re
from contextlib import suppress
from urllib.parse import quote, urlsplit

from pipelines.jobs.download.fetch.messages import MediaExtent
from schemas import Clip, KnownError, Reason, UsageError
from schemas.clip import time_name
from schemas.messages import quoted
from schemas.secrets import redact_address

_NAME = re.compile(r"[\w-][\w.+,=@() -]*")
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_HOST = re.compile(r"[\w.:\[\]-]+")
_MOST_NAME_BYTES = 200
_FIELD = re.compile(r"\{([^{}]*)\}")
_FIELDS = ("video_id", "clip_key", "start", "end")


def check_name(name: str) -> str:
    """Return the name itself when it may stand in a path, else raise `unsafe_input`."""
    if not _NAME.fullmatch(name) or len(name.encode()) > _MOST_NAME_BYTES:
        raise KnownError(
            Reason.UNSAFE_INPUT,
            f"the name {name[:80]!r} may hold only letters, digits, blanks and _ - . + , = @ ( ), "
            f"must not start with a dot, and has at most {_MOST_NAME_BYTES} bytes",
        )
    return name


def youtube_address(video_id: str) -> str:
    """Return the address of a video's page; `unsafe_input` for what is no YouTube id."""
    if not _YOUTUBE_ID.fullmatch(video_id):
        raise KnownError(
            Reason.UNSAFE_INPUT,
            f"{video_id[:80]!r} is no YouTube id (11 letters, digits, - or _)",
        )
    return f"https://www.youtube.com/watch?v={video_id}"


def check_template(template: str) -> tuple[str, tuple[int, ...]]:
    """Return host and ports of a mirror's address; `UsageError` when the template is not one.

    >>> check_template("https://a.org/{clip_key}.mp4")
    ('a.org', (443, 80))
    """
    shown = quoted(redact_address(template))
    host = ""
    ports: tuple[int, ...] = ()
    with suppress(ValueError):
        parts = urlsplit(template)
        if parts.scheme in ("http", "https"):
            ports = (443, 80) if parts.port is None else (parts.port,)
            host = parts.hostname or ""
    unknown = [name for name in _FIELD.findall(template) if name not in _FIELDS]
    if unknown or "{" in host or not host or not template.isprintable() or " " in template:
        raise UsageError(
            f"--source {shown} is no address of a mirror; give http or https with a host and "
            f"{', '.join(f'{{{name}}}' for name in _FIELDS)} for what differs, such as "
            "https://mirror.example/llp/{clip_key}.mp4"
        )
    if not {"video_id", "clip_key"} & set(_FIELD.findall(template)):
        raise UsageError(
            f"--source {shown} gives every clip one address; put {{video_id}} or {{clip_key}} "
            "into it"
        )
    return f"[{host}]" if ":" in host else host, ports


def read_hosts(text: str) -> tuple[str, ...]:
    """Return the hosts of an option, separated by commas, each with a port or for all ports.

    >>> read_hosts("cdn.example, b.example:8080")
    ('cdn.example', 'b.example:8080')
    """
    hosts = tuple(host.strip().lower() for host in text.split(",") if host.strip())
    for host in hosts:
        try:
            parts = urlsplit(f"//{host}")
            known = bool(_HOST.fullmatch(host) and parts.hostname and parts.port != 0)
        except ValueError:
            known = False
        if not known:
            raise UsageError(
                f"--hosts {quoted(host)} is no host; give names such as cdn.example or "
                "cdn.example:8080, separated by commas"
            )
    return hosts


def mirror_address(template: str, clip: Clip) -> str:
    """Return the address of a clip's file; unusual characters of a name are percent-encoded."""
    values = {
        "video_id": check_name(clip.video_id),
        "clip_key": check_name(clip.key),
        "start": time_name(clip.start_s),
        "end": time_name(clip.end_s),
    }
    return _FIELD.sub(lambda match: quote(values[match[1]], safe=""), template)


def mirror_extent(template: str) -> MediaExtent:
    """Return `clip` when the address names start or end, else `either`."""
    return "clip" if {"clip_key", "start", "end"} & set(_FIELD.findall(template)) else "either"


def read_site_args(text: str) -> dict[str, tuple[str, ...]]:
    """Parse yt-dlp's extractor arguments; `UsageError` unless name=value,value;name=value.

    >>> read_site_args("player_client=mweb,tv;formats=missing_pot")
    {'player_client': ('mweb', 'tv'), 'formats': ('missing_pot',)}
    """
    args = {}
    for argument in filter(None, text.split(";")):
        name, sign, values = argument.partition("=")
        if not sign or not re.fullmatch(r"[a-z_]+", name):
            raise UsageError(
                "--youtube-args is not name=value,value; several are separated by ; (it may be "
                "secret, so it is not shown)"
            )
        args[name] = tuple(values.split(","))
    return args
