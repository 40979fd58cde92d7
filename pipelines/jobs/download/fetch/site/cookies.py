"""The cookies of one identity, as the site renews them.

A site answers with new cookies now and then, and takes the old ones back. What it sends is kept in
a file of the identity's own, readable by its owner alone; the file that the user gave stays as it
is. Nobody else may use the identity meanwhile (`identity_lock`).
"""

import hashlib
import io
import os
from contextlib import suppress
from pathlib import Path

from yt_dlp.cookies import YoutubeDLCookieJar

_GIVEN = "# renewed from "
"""Begins the line that says of which cookies file these are the renewed cookies."""


class KeptCookies:
    """Cookies that come from the user's file at first, and from the site from then on."""

    def __init__(self, given: Path, kept: Path) -> None:
        """Read `given`; `kept` is the identity's own file, which need not be there yet."""
        self._given, self._kept = given, kept
        self._loaded = ""

    def load(self, jar: YoutubeDLCookieJar) -> None:
        """Fill the jar with the newest cookies; another `given` file than before counts anew."""
        jar.clear()
        jar.load(io.StringIO(self._newest()))
        self._loaded = _text_of(jar)

    def save(self, jar: YoutubeDLCookieJar) -> None:
        """Keep what the site has renewed: whole or not at all, for the owner alone."""
        text = _text_of(jar)
        if text == self._loaded:
            return
        temporary = self._kept.with_suffix(".part")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{text}\n{self._mark()}\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._kept)
        self._loaded = text

    def _newest(self) -> str:
        with suppress(OSError):
            text = self._kept.read_text(encoding="utf-8", errors="replace")
            if self._mark() in text.splitlines():
                return text
        return self._given.read_text(encoding="utf-8", errors="replace")

    def _mark(self) -> str:
        return _GIVEN + hashlib.sha256(self._given.read_bytes()).hexdigest()


def _text_of(jar: YoutubeDLCookieJar) -> str:
    """Return the jar as a file of Netscape's form holds it, in the same order always."""
    file = io.StringIO()
    jar.save(file)
    for cookie in jar:  # saving gives those of a session an end, at which they would count as over
        if cookie.expires == 0:
            cookie.expires, cookie.discard = None, True
    head, *lines = file.getvalue().strip().splitlines()
    return "\n".join([head, *sorted(lines)])
