"""One file of a server, whole or in parts, and always of one version.

A server says by an ETag or a date which version of a file it sends. A part is asked for on the
condition that the version is still the same (If-Range), and an answer of another version, or with
other bytes than were asked for, is never joined to what is there: the file is fetched from its
beginning. Where a server names no version, a broken download starts again.
"""

import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

from yt_dlp.networking import Request
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, TransportError

from pipelines.jobs.download.fetch.guard import GuardedYoutubeDL
from schemas import KnownError, Reason

_BLOCK = 2**18
_RETRIES = 2
_READ_AHEAD = 2**16
"""A jump of fewer bytes forwards is read through rather than asked for anew."""
_FIRST_PART, _LARGEST_PART = 2**18, 2**22
"""Bytes that a reader asks for at once, doubled as long as it reads on: what a server sends beyond
what is read is lost."""
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class RangesRefusedError(Exception):
    """The server does not send parts of one version of this file."""


class _Version(NamedTuple):
    etag: str | None
    modified: str | None
    size: int | None

    @property
    def validator(self) -> str | None:
        """Return what If-Range may hold: a strong ETag, else the date."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.modified

    def may_be(self, known: "_Version") -> bool:
        """Tell whether an answer with these headers may be a part of a known version."""
        return (
            self.etag == known.etag
            and self.modified in (None, known.modified)
            and self.size in (None, known.size)
        )


_UNKNOWN = _Version(None, None, None)


class RemoteFile:
    """A file at an address; `chunk` bytes are asked for at once, 0 for all of them."""

    def __init__(
        self,
        ydl: GuardedYoutubeDL,
        address: str,
        headers: dict[str, str],
        *,
        chunk: int = 0,
        first_pause_s: float = 0.5,
    ) -> None:
        self._ydl, self._address, self._chunk = ydl, address, chunk
        self._first_pause_s = first_pause_s
        self._headers = {**headers, "Accept-Encoding": "identity"}
        self._version = _UNKNOWN
        self.address = address
        """Where the last answer came from, after redirects."""

    @property
    def version(self) -> _Version:
        """Return what the server said of the file when it last sent its beginning."""
        return self._version

    @property
    def size(self) -> int | None:
        """Return the size in bytes as far as the server has told it."""
        return self._version.size

    def open(self, first: int = 0, last: int | None = None) -> tuple[Response, int]:
        """Ask for bytes `first` to `last` (inclusive); return the answer and its first byte.

        An answer with the whole file, of this or of another version, begins at byte 0. Raises
        `TransportError` for other bytes than were asked for.
        """
        headers = dict(self._headers)
        if first or last is not None:
            headers["Range"] = f"bytes={first}-{'' if last is None else last}"
        if first and self._version.validator:
            headers["If-Range"] = self._version.validator
        response = self._ydl.urlopen(Request(self._address, headers=headers))
        self.address = response.url
        try:
            return response, self._check_version(response, first)
        except BaseException:
            response.close()
            raise

    def _check_version(self, response: Response, first: int) -> int:
        """Return the first byte of an answer that fits what has come before."""
        begins, size = 0, _number(response.get_header("Content-Length"))
        if response.status == 206:
            span = _CONTENT_RANGE.fullmatch(response.get_header("Content-Range") or "")
            begins = int(span[1]) if span else -1
            size = _number(span[3]) if span else None
        packed = (response.get_header("Content-Encoding") or "identity") != "identity"
        version = _UNKNOWN if packed else _Version(
            response.get_header("ETag"), response.get_header("Last-Modified"), size
        )  # fmt: skip
        known = self._version != _UNKNOWN
        part_of_other = begins > 0 and known and not version.may_be(self._version)
        if begins not in (0, first) or part_of_other or (packed and response.status == 206):
            self._version = _UNKNOWN
            raise TransportError("the server sent other bytes than were asked for")
        if not begins or not known:
            self._version = version
        if size is not None:
            self._ydl.allowance.check_length(size - begins)
        return begins

    def first_bytes(self, size: int) -> bytes:
        """Return the beginning of the file; nothing where the server sends no parts."""
        try:
            response, _ = self.open(0, size - 1)
            with closing(response):
                head = b""
                while response.status == 206 and len(head) < size:
                    block = response.read(size - len(head))
                    if not block:
                        break
                    head += block
        except (TransportError, HTTPError):
            return b""
        return head

    def download(self, path: Path) -> None:
        """Fetch the whole file; go on after a break where the version is known."""
        self._try(path, self._copy_to)

    def download_part(self, path: Path, first: int, size: int) -> None:
        """Fetch `size` bytes from byte `first` on.

        Raises `RangesRefusedError`, and `KnownError` `corrupt` for bytes that the file has not.
        """
        self._try(path, lambda file: self._copy_part(file, first, size))

    def _try(self, path: Path, copy: Callable[[IO[bytes]], None]) -> None:
        breaks = 0
        with path.open("wb") as file:
            while True:
                try:
                    return copy(file)
                except (TransportError, HTTPError) as error:
                    if breaks == _RETRIES or not _may_pass(error):
                        raise
                breaks += 1
                self.pause(breaks)

    def pause(self, breaks: int) -> None:
        """Wait before the file is asked for again."""
        self._ydl.allowance.check_time()
        time.sleep(self._first_pause_s * 2 ** (breaks - 1))

    def _copy_part(self, file: IO[bytes], first: int, size: int) -> None:
        last = first + size - 1
        try:
            response, begins = self.open(first, last)
        except HTTPError as error:
            if error.status == 416:
                raise _beyond(first, size, self.size) from None
            raise
        with closing(response):
            if response.status != 206 or begins != first:
                raise RangesRefusedError
            if self.size is not None and last >= self.size:
                raise _beyond(first, size, self.size)
            file.seek(0)
            file.truncate()
            while block := response.read(_BLOCK):
                file.write(block)
                if file.tell() > size:
                    raise TransportError("the server sent more bytes than were asked for")
        if file.tell() < size:
            raise TransportError("the server sent fewer bytes than were asked for")

    def _copy_to(self, file: IO[bytes]) -> None:
        while True:
            first = file.tell() if self._version.validator else 0
            last = first + self._chunk - 1 if self._chunk else None
            response, begins = self.open(first, last)
            with closing(response):
                file.seek(begins)
                file.truncate()
                while block := response.read(_BLOCK):
                    file.write(block)
            if self.size is None or file.tell() >= self.size:
                return
            if file.tell() == first:
                raise TransportError("the server sent an empty part of the file")
            if not self._version.validator:
                self._chunk = 0  # parts of an unknown version cannot be joined


class RemoteReader:
    """A remote file that libraries read and seek in as if it lay here."""

    def __init__(self, remote: RemoteFile) -> None:
        self._remote, self._position = remote, 0
        self._version: _Version | None = None
        self._response: Response | None = None
        self._part = _FIRST_PART
        self._came = 0
        """Bytes of the answer that is being read."""

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes, none at the end; raises `RangesRefusedError`."""
        breaks = 0
        while True:
            if self._remote.size is not None and self._position >= self._remote.size:
                return b""
            try:
                if self._response is None:
                    self._response = self._open()
                block = self._response.read(size)
                if not block and not self._came and self._remote.size is not None:
                    raise TransportError("the server sent an empty part of the file")
            except (TransportError, HTTPError) as error:
                self.close()
                if breaks == _RETRIES or not _may_pass(error):
                    raise
                breaks += 1
                self._remote.pause(breaks)
            else:
                self._position += len(block)
                self._came += len(block)
                if block or not self._goes_on():
                    return block
                self.close()
                self._part = min(2 * self._part, _LARGEST_PART)

    def _goes_on(self) -> bool:
        """Tell whether the file goes on behind the answer that has ended."""
        partial = self._response is not None and self._response.status == 206
        return partial and (self._remote.size is not None or self._came >= self._part)

    def _open(self) -> Response:
        last = self._position + self._part - 1
        response, begins = self._remote.open(self._position, last)
        self._came = 0
        self._version = self._version or self._remote.version
        if begins != self._position or self._remote.version != self._version:
            response.close()
            raise RangesRefusedError
        return response

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a byte, as of Python's files; the end needs a server that tells the size."""
        if whence == 2 and self._remote.size is None:
            raise OSError("the server does not tell the file's size")
        base = (0, self._position, self._remote.size or 0)[whence]
        ahead = base + offset - self._position
        if self._response is not None and 0 < ahead <= _READ_AHEAD:
            while ahead > 0 and (block := self.read(ahead)):
                ahead -= len(block)
        elif ahead:
            self.close()
            self._part = _FIRST_PART
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the next byte that is read."""
        return self._position

    def close(self) -> None:
        """Let go of the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None


def _beyond(first: int, size: int, whole: int | None) -> KnownError:
    known = f" of a file with {whole:,} bytes" if whole is not None else ""
    return KnownError(
        Reason.CORRUPT, f"the playlist names bytes {first:,} to {first + size - 1:,}{known}"
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def _may_pass(error: TransportError | HTTPError) -> bool:
    if isinstance(error, HTTPError):
        return error.status >= 500 or error.status == 416
    return not isinstance(error, CertificateVerifyError)
