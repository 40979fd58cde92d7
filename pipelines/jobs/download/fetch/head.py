"""What a file that came as media begins with: an index, media, a page, or a playlist."""

from pathlib import Path

from schemas import KnownError, Reason

_FIRST_BYTES = 512
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")
_PLAYLISTS = (b"#extm3u", b"<?xml", b"<mpd", b"<smil", b"[playlist]", b"ffconcat", b"rtsp://")
_BEFORE_INDEX = (b"ftyp", b"free", b"skip", b"wide", b"uuid", b"styp")
_INDEX = (b"moov", b"sidx")


def is_playlist(path: Path) -> bool:
    """Tell whether a file is an HLS playlist."""
    return _head(path).startswith(b"#extm3u")


def check_head(path: Path) -> None:
    """Refuse a page or a playlist that came as a media file; its first bytes tell."""
    head = _head(path)
    if head.startswith(_PAGES):
        raise KnownError(Reason.FORMAT, "the file is a page, not media")
    if head.startswith(_PLAYLISTS):
        raise KnownError(
            Reason.UNSAFE_INPUT,
            "the file is a playlist, which may lead anywhere; it was not opened (HLS of a mirror "
            "is followed with --allow-playlists)",
        )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_FIRST_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n").lower()


def starts_with_index(head: bytes) -> bool:
    """Tell whether the first boxes of an MP4 file lead to its index.

    >>> starts_with_index(bytes([0, 0, 0, 8]) + b"free" + bytes([0, 0, 1, 0]) + b"moov")
    True
    """
    place = 0
    while place + 8 <= len(head):
        size, kind = int.from_bytes(head[place : place + 4], "big"), head[place + 4 : place + 8]
        if kind in _INDEX:
            return True
        if kind not in _BEFORE_INDEX or size < 8:
            return False
        place += size
    return False
