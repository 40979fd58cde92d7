"""Records that the job and its fetching processes exchange: a request, its limits, its result."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SourceKind = Literal["youtube", "mirror", "files"]
"""A site, one address per clip, or files on this machine or in a bucket."""

MediaExtent = Literal["video", "clip", "either"]
"""What a file holds: the whole video, the clip itself, or whichever of the two its length says."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one clip may cost."""

    height: int = 360
    """Largest frame height in pixels, 0 for no limit."""
    max_bytes: int = 2 * 2**30
    """Largest file, and all that is read for one clip, in bytes."""
    timeout_s: float = 300.0
    """Time for one try of one clip, in seconds."""
    section_above: int = 50 * 2**20
    """A video above this many bytes is not fetched whole."""
    first_pause_s: float = 0.5
    """Pause after the first break of a file, in seconds; it doubles with each one."""


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """One try of one clip, as it goes to a fetching process."""

    key: str
    video_id: str
    start_s: float
    end_s: float
    source: SourceKind
    location: str
    """Address of the file or page, or the location of a local file (`local_sources`)."""
    extent: MediaExtent
    folder: str
    """Empty folder for everything that the try writes."""
    limits: Limits
    shared_video: bool = False
    """Whether the manifest has other clips of the same video."""
    hosts: tuple[str, ...] = ()
    """Hosts, with everything below them, that may be asked."""
    root: str = ""
    """Folder or file that a local location must lie in."""
    cookies: str | None = None
    """Cookies file that the user gave."""
    kept_cookies: str | None = None
    """File for the cookies as the site renews them; None to forget them."""
    proxy: str | None = None
    user_agent: str | None = None
    site_args: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """yt-dlp's extractor arguments for YouTube, name to values."""
    impersonate: str | None = None
    """Browser that yt-dlp is to look like where it asks for pages."""
    sabr: bool = False
    """Whether formats that come by SABR alone may be taken."""
    shared_folder: str = ""
    """Folder for what the next clip of the same video may use, empty for a single clip."""
    allow_playlists: bool = False
    """Whether a mirror may answer with an HLS playlist."""

    def encode(self) -> str:
        """Return the request as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, line: str) -> "FetchRequest":
        """Read the request back from `encode`."""
        raw = json.loads(line)
        limits = Limits(**raw.pop("limits"))
        return cls(**{**raw, "hosts": tuple(raw["hosts"])}, limits=limits)

    @property
    def length_s(self) -> float:
        """Return the clip's length in seconds, infinite when its end is open."""
        return self.end_s - self.start_s


@dataclass
class FetchedMedia:
    """What arrived: one or two files, whole or a section of each."""

    video: str
    """Path of the file with the video (and mostly the audio)."""
    audio: str | None
    """Path of a separate audio file."""
    source: str
    """Where it came from, for the record: `youtube`, the address without secrets, or the path."""
    format_id: str
    duration_s: float | None
    """Length of the whole video in seconds, as the site says."""
    zero_s: float | None = None
    """Of a section: the second of the file at which second 0 of the whole video lies."""
    how: Literal["cut", "section", "fragments"] = "cut"
    """Whole, a section of it, or only the fragments that cover the clip."""
    n_bytes: int | None = None
    """All bytes that were read for it; None where nothing was asked of a server."""


@dataclass(frozen=True, kw_only=True)
class FetchResult:
    """What became of one request."""

    key: str
    facts: dict[str, Any] | None = None
    """Columns of table `media` when the clip is there."""
    path: str = ""
    """Its file in the request's folder."""
    step: str = ""
    """Where it failed: `request`, `fetch` or `cut`."""
    reason: str = ""
    detail: str = ""
    retry_after_s: float | None = None
    kept: bool = False
    """Whether the process has the video still, for the next clip of it."""
    obstacle: str = ""
    """Name of what is in the way of the site's videos, where one is known."""

    def encode(self) -> str:
        """Return the result as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, line: bytes) -> "FetchResult":
        """Read the result back from `encode`."""
        return cls(**json.loads(line))
