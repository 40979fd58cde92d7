"""HLS playlists (RFC 8216), read by the m3u8 package, as renditions or as variants to choose from.

Addresses are only made absolute here; whoever asks them checks each one first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import m3u8

from pipelines.jobs.download.fetch.fragments.rendition import (
    Fragment,
    Key,
    Rendition,
    Resource,
    check_lengths,
)
from schemas import KnownError, Reason
from schemas.messages import quoted

_LONGEST_LINE = 2**16
_RANGE = re.compile(r"(\d{1,18})(?:@(\d{1,18}))?")
_IV = re.compile(r"0[xX]([0-9a-fA-F]{1,32})")
_SOUND = ("mp4a", "ac-3", "ec-3", "opus", "flac", "mp3")
_PARSE_ERRORS = (
    m3u8.ParseError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError
)  # fmt: skip
"""What the package raises for text that is no playlist."""


@dataclass(frozen=True)
class Variant:
    """One choice of a playlist of playlists: addresses of its video (or all) and of its sound."""

    video: str
    audio: str | None
    height: int
    """Lines of the picture, 0 where nobody says."""
    bandwidth: int
    codecs: tuple[str, ...]

    @property
    def has_video(self) -> bool:
        """Tell whether it holds a picture, as far as it says."""
        return not self.codecs or any(not codec.startswith(_SOUND) for codec in self.codecs)

    @property
    def is_h264(self) -> bool:
        """Tell whether its picture is H.264."""
        return any(codec.startswith(("avc1", "avc3")) for codec in self.codecs)

    @property
    def has_audio(self) -> bool:
        """Tell whether it holds sound, as far as it says."""
        heard = any(codec.startswith(_SOUND) for codec in self.codecs)
        return self.audio is not None or not self.codecs or heard


def parse_playlist(text: str, address: str) -> m3u8.M3U8:
    """Parse a playlist that came from an address.

    Raises `KnownError`: `format` for what is no playlist, `corrupt` for one that cannot be read,
    `not_found` for one that is still being written.
    """
    if not text.removeprefix("\ufeff").startswith("#EXTM3U"):
        raise KnownError(Reason.FORMAT, "the answer is no HLS playlist")
    if any(len(line) > _LONGEST_LINE for line in text.splitlines()):
        raise KnownError(
            Reason.CORRUPT, f"a line of the playlist has more than {_LONGEST_LINE:,} letters"
        )
    try:
        found = m3u8.loads(text.removeprefix("\ufeff"), uri=address)
    except _PARSE_ERRORS as error:
        said = quoted(error, 100)
        raise KnownError(Reason.CORRUPT, f"the playlist cannot be read: {said}") from None
    if not found.is_variant and not found.is_endlist:
        raise KnownError(Reason.NOT_FOUND, "the video is being sent live: its playlist has no end")
    return found


def choose_variant(playlist: m3u8.M3U8, address: str, height: int) -> Variant:
    """Return the variant to fetch: under the height limit, H.264 first, with sound.

    Of these the one with the most lines, then with the most bits. Where all are higher than
    `height` (0 for no limit) the lowest is taken. Raises `KnownError` `format` without any.
    """
    variants = list(_variants(playlist, address))
    if not variants:
        raise KnownError(Reason.FORMAT, "the playlist leads to no other playlist")
    seen = [one for one in variants if one.has_video] or variants
    lowest = min(one.height for one in seen)
    fitting = [one for one in seen if not height or one.height <= max(height, lowest)]
    return max(
        fitting,
        key=lambda one: (one.has_audio, one.is_h264, one.height, one.bandwidth),
    )


def _variants(playlist: m3u8.M3U8, address: str) -> Iterator[Variant]:
    for one in playlist.playlists:
        stream = one.stream_info
        sounds = [
            medium
            for medium in playlist.media
            if medium.type == "AUDIO" and medium.group_id == stream.audio and stream.audio
        ]
        sounds.sort(key=lambda medium: (medium.default != "YES", medium.autoselect != "YES"))
        apart = sounds[0].uri if sounds else None
        yield Variant(
            urljoin(address, one.uri),
            urljoin(address, apart) if apart else None,
            stream.resolution[1] if stream.resolution else 0,
            stream.bandwidth or 0,
            tuple(word.strip().lower() for word in (stream.codecs or "").split(",") if word),
        )


def read_rendition(playlist: m3u8.M3U8, address: str) -> Rendition:
    """Return the fragments of a playlist of media.

    Raises `KnownError`: `unsafe_input` for a playlist of playlists, `format` for an encryption
    other than AES-128, `corrupt` for impossible fragments.
    """
    if playlist.is_variant:
        raise KnownError(Reason.UNSAFE_INPUT, "a playlist leads to a playlist of playlists")
    check_lengths([segment.duration or 0.0 for segment in playlist.segments])
    fragments: list[Fragment] = []
    start_s, run, init, after = 0.0, 0, None, Resource("")
    for segment in playlist.segments:
        before, init = init, _init(segment, address)
        run += bool(fragments) and (bool(segment.discontinuity) or before != init)
        resource = after = _resource(address, segment.uri, segment.byterange, after)
        length_s = segment.duration or 0.0
        key = _key(segment, address)
        gap = bool(segment.gap_tag)
        fragments.append(Fragment(resource, start_s, length_s, run, init, key, gap))
        start_s += length_s
    return Rendition(tuple(fragments))


def _init(segment: Any, address: str) -> Resource | None:
    init = segment.init_section
    return _resource(address, init.uri, init.byterange, Resource("")) if init else None


def _resource(address: str, uri: str | None, span: str | None, before: Resource) -> Resource:
    """Return the bytes that a line names; a range without a start follows the one before it."""
    try:
        place = urljoin(address, uri or "")
    except ValueError:
        place = ""
    if not uri or not place:
        raise KnownError(Reason.CORRUPT, "a fragment of the playlist has no address")
    if span is None:
        return Resource(place)
    found = _RANGE.fullmatch(span.strip())
    if found is None or not int(found[1]):
        raise KnownError(Reason.CORRUPT, f"{quoted(span, 50)} is no range of bytes")
    follows = before.first + (before.size or 0) if before.address == place else 0
    return Resource(place, int(found[2]) if found[2] else follows, int(found[1]))


def _key(segment: Any, address: str) -> Key | None:
    key = segment.key
    if key is None or key.method == "NONE":
        return None
    if key.method != "AES-128" or (key.keyformat or "identity") != "identity":
        kind = quoted(key.keyformat or key.method, 50)
        raise KnownError(Reason.FORMAT, f"the video is encrypted with {kind}, which is not opened")
    if not key.uri:
        raise KnownError(Reason.CORRUPT, "the playlist says AES-128 and names no key")
    iv = ((segment.media_sequence or 0) % 2**128).to_bytes(16, "big")
    if key.iv is not None:
        found = _IV.fullmatch(key.iv)
        if found is None:
            raise KnownError(Reason.CORRUPT, f"{quoted(key.iv, 50)} is no IV of AES-128")
        iv = int(found[1], 16).to_bytes(16, "big")
    return Key(urljoin(address, key.uri), iv)
