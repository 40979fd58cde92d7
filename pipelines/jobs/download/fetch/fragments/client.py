"""Playlists, keys and fragments out of a server, through the guard of the clip."""

from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from yt_dlp.networking import Request
from yt_dlp.networking.common import Response

from pipelines.jobs.download.fetch.fragments.rendition import Fragment, Key, Resource
from pipelines.jobs.download.fetch.guard import GuardedYoutubeDL
from pipelines.jobs.download.fetch.head import check_head
from pipelines.jobs.download.fetch.remote import RangesRefusedError, RemoteFile
from schemas import KnownError, Reason
from schemas.messages import quoted
from schemas.secrets import redact_address

_MOST_PLAYLIST_BYTES = 16 * 2**20
_KEY_BYTES = 16
_BOXES = (b"ftyp", b"styp", b"moov", b"sidx", b"moof")


class FragmentClient:
    """Fetch what a playlist names into a folder, each thing once."""

    def __init__(
        self,
        ydl: GuardedYoutubeDL,
        headers: dict[str, str],
        folder: Path,
        *,
        first_pause_s: float = 0.5,
    ) -> None:
        self._ydl, self._headers, self._folder = ydl, headers, folder
        self._first_pause_s = first_pause_s
        self._keys: dict[str, bytes] = {}
        self._files: dict[tuple[Resource, Key | None], Path] = {}
        self._remotes: dict[str, RemoteFile] = {}
        self._whole: dict[str, Path] = {}

    def playlist(self, address: str) -> tuple[str, str]:
        """Return the text of a playlist and the address that it came from in the end."""
        self._ydl.media_only = False
        try:
            with closing(self._ydl.urlopen(Request(address, headers=self._headers))) as response:
                data = _read_at_most(response, _MOST_PLAYLIST_BYTES + 1)
                place = response.url
        finally:
            self._ydl.media_only = True
        return playlist_text(data), place

    def fragment(self, fragment: Fragment) -> Path:
        """Fetch a fragment, decrypted."""
        return self._fetch(fragment.resource, fragment.key, fragment)

    def init(self, fragment: Fragment) -> Path | None:
        """Fetch what a fragment's file begins with; None where nothing is kept apart."""
        if fragment.init is None:
            return None
        return self._fetch(fragment.init, fragment.key, None)

    def _fetch(self, resource: Resource, key: Key | None, fragment: Fragment | None) -> Path:
        path = self._files.get((resource, key))
        if path is None:
            if fragment is not None and fragment.missing:
                raise KnownError(
                    Reason.CORRUPT,
                    f"the fragment at {fragment.start_s:.1f} s is missing, as the playlist says",
                )
            path = self._folder / f"fragment{len(self._files)}.media"
            self._download(resource, path)
            plain = fragment is None and path.read_bytes()[4:8] in _BOXES
            if key is not None and not plain:
                path.write_bytes(decrypt(path.read_bytes(), self._key(key.address), key.iv))
            check_head(path)
            self._files[resource, key] = path
        return path

    def _download(self, resource: Resource, path: Path) -> None:
        address, first, size = resource
        remote = self._remotes.setdefault(address, self._remote(address))
        if size is None:
            remote.download(path)
            return
        if address not in self._whole:
            try:
                remote.download_part(path, first, size)
                return
            except RangesRefusedError:
                whole = self._folder / f"whole{len(self._whole)}.media"
                remote.download(whole)
                self._whole[address] = whole
        with self._whole[address].open("rb") as file:
            file.seek(first)
            data = file.read(size)
        if len(data) < size:
            raise KnownError(
                Reason.CORRUPT, f"the playlist names bytes {first:,} to {first + size:,} of a file "
                f"with {self._whole[address].stat().st_size:,} bytes"
            )  # fmt: skip
        path.write_bytes(data)

    def _remote(self, address: str) -> RemoteFile:
        pause_s = self._first_pause_s
        return RemoteFile(self._ydl, address, self._headers, first_pause_s=pause_s)

    def _key(self, address: str) -> bytes:
        if address not in self._keys:
            with closing(self._ydl.urlopen(Request(address, headers=self._headers))) as response:
                key = _read_at_most(response, _KEY_BYTES + 1)
            if len(key) != _KEY_BYTES:
                shown = quoted(redact_address(address), 200)
                raise KnownError(
                    Reason.CORRUPT, f"the key {shown} has not the {_KEY_BYTES} bytes of AES-128"
                )
            self._keys[address] = key
        return self._keys[address]


def _read_at_most(response: Response, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (block := response.read(min(size - len(data), 2**16))):
        data += block
    return bytes(data)


def decrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    """Return a fragment without its AES-128; `KnownError` `corrupt` for what is none.

    >>> decrypt(bytes(15), bytes(16), bytes(16))
    Traceback (most recent call last):
    schemas.failure.KnownError: corrupt: the fragment cannot be decrypted with its key
    """
    padding = PKCS7(8 * _KEY_BYTES).unpadder()
    opened = Cipher(AES(key), CBC(iv)).decryptor()
    try:
        return padding.update(opened.update(data) + opened.finalize()) + padding.finalize()
    except ValueError:
        detail = "the fragment cannot be decrypted with its key"
        raise KnownError(Reason.CORRUPT, detail) from None


def playlist_text(data: bytes) -> str:
    """Return what a server sent as the text of a playlist.

    Raises `KnownError`: `too_large` above 16 MiB, `format` for what is no playlist.
    """
    if len(data) > _MOST_PLAYLIST_BYTES:
        raise KnownError(
            Reason.TOO_LARGE, f"the playlist has more than {_MOST_PLAYLIST_BYTES:,} bytes"
        )
    return data.decode("utf-8", errors="replace")
