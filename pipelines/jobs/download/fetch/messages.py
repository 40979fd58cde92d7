"""What is wanted: one clip, where it is, and how much it may cost. Names are checked here.

A name from an annotation file becomes part of a path and of an address, so only letters, digits
and a few signs are let through, and a YouTube id must look like one. No name is ever a word of a
command line: programs get paths that this package made up.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

from schemas import Clip, KnownError, Reason, UsageError

Part = Literal["video", "clip", "either"]
"""What a file is: the whole video, the clip itself, or whichever of the two its length says."""

_NAME = re.compile(r"[\w-][\w.+,=@() -]*")
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_MOST_NAME_BYTES = 200
_FIELD = re.compile(r"\{([^{}]*)\}")
_FIELDS = ("video_id", "clip_key", "start", "end")
_BYTES_PER_SECOND = 60_000
"""Of a video at 360 lines, picture and sound, where the site does not say its size."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one clip may cost."""

    height: int = 360
    """Lines of the picture, 0 for as many as there are."""
    max_bytes: int = 2 * 2**30
    """Largest file, and all that is read for one clip."""
    timeout_s: float = 300.0
    """Time for one try of one clip."""
    section_above: int = 50 * 2**20
    """A video above so many bytes is not fetched whole."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One try of one clip, as it goes to the process that fetches."""

    key: str
    video_id: str
    start_s: float
    end_s: float
    source: Literal["youtube", "address", "place"]
    """Site, one file of a mirror, or a place on this machine."""
    where: str
    """The address, or the place as text."""
    part: Part
    work: str
    """Empty folder for everything that the try writes."""
    limits: Limits
    shared_video: bool = False
    """Whether the manifest has other clips of the same video."""
    hosts: tuple[str, ...] = ()
    """Hosts, with everything below them, that may be asked."""
    root: str = ""
    """Folder or file that a place must lie in."""
    cookies: str | None = None
    proxy: str | None = None
    user_agent: str | None = None
    site_args: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """yt-dlp's extractor arguments for YouTube, name to values."""

    def encode(self) -> str:
        """The request as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, line: str) -> "Request":
        """The request back from `encode`."""
        raw = json.loads(line)
        limits = Limits(**raw.pop("limits"))
        return cls(**{**raw, "hosts": tuple(raw["hosts"])}, limits=limits)

    @property
    def length_s(self) -> float:
        """How long the clip should be, infinite when its end is open."""
        return self.end_s - self.start_s


@dataclass
class Fetched:
    """What came: files, or addresses that a section is read from."""

    picture: str
    """Path, or address when `remote`, of the file with the picture (and mostly the sound)."""
    sound: str | None
    """Path or address of a file with the sound apart."""
    source: str
    """Where from, for the record: `youtube` or the address."""
    format_id: str
    duration_s: float | None
    """Of the whole video, as the site says."""
    remote: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def check_name(name: str) -> str:
    """The name itself when it may stand in a path; else `KnownError` `unsafe_input`."""
    if not _NAME.fullmatch(name) or len(name.encode()) > _MOST_NAME_BYTES:
        raise KnownError(
            Reason.UNSAFE_INPUT,
            f"the name {name[:80]!r} may hold only letters, digits, blanks and _ - . + , = @ ( ), "
            f"must not start with a dot, and has at most {_MOST_NAME_BYTES} bytes",
        )
    return name


def youtube_address(video_id: str) -> str:
    """Where a video is watched; `KnownError` `unsafe_input` for what is no YouTube id."""
    if not _YOUTUBE_ID.fullmatch(video_id):
        raise KnownError(
            Reason.UNSAFE_INPUT,
            f"{video_id[:80]!r} is no YouTube id (11 letters, digits, - or _)",
        )
    return f"https://www.youtube.com/watch?v={video_id}"


def check_template(template: str) -> str:
    """The host of a mirror's address; `UsageError` when the template is not one."""
    try:
        parts = urlsplit(template)
        host = (parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:
        host = ""
    unknown = [name for name in _FIELD.findall(template) if name not in _FIELDS]
    if unknown or "{" in host or not host or not template.isprintable() or " " in template:
        raise UsageError(
            f"--source {template!r} is no address of a mirror; give http or https with a host and "
            f"{', '.join(f'{{{name}}}' for name in _FIELDS)} for what differs, such as "
            "https://mirror.example/llp/{clip_key}.mp4"
        )
    if not {"video_id", "clip_key"} & set(_FIELD.findall(template)):
        raise UsageError(
            f"--source {template!r} gives every clip one address; put {{video_id}} or {{clip_key}} "
            "into it"
        )
    return host


def mirror_address(template: str, clip: Clip) -> str:
    """The address of a clip's file; whatever is unusual in a name is percent-encoded."""
    values = {
        "video_id": check_name(clip.video_id),
        "clip_key": check_name(clip.key),
        "start": f"{clip.start_s:g}",
        "end": f"{clip.end_s:g}",
    }
    return _FIELD.sub(lambda match: quote(values[match[1]], safe=""), template)


def mirror_part(template: str) -> Part:
    """`clip` when the address names start or end, else `either`."""
    return "clip" if {"clip_key", "start", "end"} & set(_FIELD.findall(template)) else "either"


def read_site_args(text: str) -> dict[str, tuple[str, ...]]:
    """yt-dlp's extractor arguments; `UsageError` for what is not name=value,value;name=value.

    >>> read_site_args("player_client=mweb,tv;formats=missing_pot")
    {'player_client': ('mweb', 'tv'), 'formats': ('missing_pot',)}
    """
    found = {}
    for part in filter(None, text.split(";")):
        name, sign, values = part.partition("=")
        if not sign or not re.fullmatch(r"[a-z_]+", name):
            raise UsageError(
                f"--youtube-args {part!r} is not name=value,value; several are separated by ;"
            )
        found[name] = tuple(values.split(","))
    return found


def by_section(
    length_s: float, duration_s: float | None, size: int | None, section_above: int
) -> bool:
    """Whether only a section of a video is fetched rather than all of it.

    A section is read through ffmpeg, which sites slow down, so it pays only when the whole video is
    large (above `section_above` bytes) and at least three times as long as the clip.

    >>> by_section(10.0, 60.0, None, 50_000_000), by_section(10.0, 3600.0, None, 50_000_000)
    (False, True)
    """
    if duration_s is None or math.isinf(length_s) or duration_s < 3 * length_s:
        return False
    return (size or duration_s * _BYTES_PER_SECOND) > section_above
