"""A web server that serves clips and misbehaves as it is told, and writes down who asked when."""

import gzip
import hashlib
import json
import random
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

STATUS = {"401": 401, "403": 403, "404": 404, "410": 410, "429": 429, "451": 451, "500": 500,
          "503": 503}  # fmt: skip
FILE_FAULTS = ("reset", "stall", "truncation", "drip", "huge")
KINDS = {
    ".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t",
    ".key": "application/octet-stream",
}  # fmt: skip
ENDLESS = ("endless", "endless_gzip", "endless_redirect")
RESUMED = (
    "junk_after_break",
    "other_after_break",
    "other_part_after_break",
    "wrong_part_after_break",
)
"""A break in the middle, and then other bytes than before."""


@dataclass
class Fault:
    """What goes wrong at an address, the first `times` times or always."""

    kind: str
    times: int | None = None
    value: str = ""
    """Retry-After, where a redirect leads, or the path of another file."""


@dataclass
class Asked:
    """One request."""

    at: float
    path: str
    agent: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    n_bytes: int = 0
    """Bytes of the file, or of its part, that were sent."""


@dataclass
class Site:
    """What the server has, how it misbehaves and what it was asked."""

    files: dict[str, bytes | Path] = field(default_factory=dict)
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    """YouTube id to a player response."""
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    address: str = ""
    versions: bool = True
    """Whether answers carry an ETag."""
    renews: bool = False
    """Whether every player response sends cookie `turn` with a number one higher."""
    ranges: bool = True
    """Whether parts of a file may be asked for."""
    stop: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    """Bytes of endless answers."""

    def clips_asked(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(one.path for one in self.asked)

    def play(self, video_id: str, path: str, duration_s: float, **more: Any) -> None:
        """Serve a file as a video of YouTube."""
        stream = {
            "itag": 18, "url": f"{self.address}{path}", "width": 320, "height": 240, "fps": 25,
            "mimeType": 'video/mp4; codecs="avc1.42001E, mp4a.40.2"', "quality": "medium",
            "qualityLabel": "240p", "bitrate": 200_000, "audioSampleRate": "44100",
            "audioQuality": "AUDIO_QUALITY_LOW", "approxDurationMs": str(int(duration_s * 1000)),
            **more,
        }  # fmt: skip
        self.videos[video_id] = {
            "playabilityStatus": {"status": "OK"},
            "streamingData": {"formats": [stream]},
            "videoDetails": {
                "videoId": video_id, "title": "a video", "lengthSeconds": str(round(duration_s))
            },
        }  # fmt: skip

    def play_hls(self, video_id: str, path: str, duration_s: float) -> None:
        """Serve a playlist as the only thing that YouTube gives of a video."""
        self.play(video_id, path, duration_s)
        address = f"{self.address}{path}"
        self.videos[video_id]["streamingData"] = {"hlsManifestUrl": address}

    def play_without_addresses(self, video_id: str) -> None:
        """Answer as YouTube does where it sends formats by SABR alone."""
        self.play(video_id, "/nowhere.mp4", 20.0)
        formats = self.videos[video_id]["streamingData"]["formats"]
        self.videos[video_id]["streamingData"] = {
            "serverAbrStreamingUrl": f"{self.address}/sabr",
            "adaptiveFormats": [{k: v for k, v in formats[0].items() if k != "url"}],
        }

    def refuse(
        self, video_id: str, reason: str, subreason: str = "", status: str = "ERROR"
    ) -> None:
        """FetchResult as YouTube does for a video that it does not play."""
        screen = {"reason": {"simpleText": reason}}
        if subreason:
            screen["subreason"] = {"simpleText": subreason}
        self.videos[video_id] = {
            "playabilityStatus": {
                "status": status, "reason": reason,
                "errorScreen": {"playerErrorMessageRenderer": screen},
            },
            "videoDetails": {"videoId": video_id, "title": "a video"},
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Serves one request of a `Site`."""

    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def send_response(self, code: int, message: str | None = None) -> None:
        """Write down the answer too."""
        self.site.asked.append(
            Asked(
                time.time(),
                self.path,
                self.headers.get("User-Agent", ""),
                code,
                {name.lower(): value for name, value in self.headers.items()},
            )
        )
        super().send_response(code, message)

    def do_GET(self) -> None:
        """A player response, a file, or a fault."""
        self.close_connection = True
        if self.path.startswith("http://"):  # asked as a proxy
            self.path = "/" + self.path.split("/", 3)[3]
        self.site.hits[self.path] += 1
        fault = self.site.faults.get(self.path)
        if fault and (fault.times is None or self.site.hits[self.path] <= fault.times):
            with suppress(BrokenPipeError, ConnectionResetError):
                self._misbehave(fault)
        elif self.path.startswith("/watch/"):
            video = self.site.videos.get(self.path.removeprefix("/watch/"))
            self._page(json.dumps(video).encode(), "application/json", 200, **self._renewed())
        elif self.path in self.site.files:
            with suppress(BrokenPipeError, ConnectionResetError):
                self._file(self.site.files[self.path])
        else:
            self._page(b"no", "text/plain", 404)

    def _renewed(self) -> dict[str, str]:
        if not self.site.renews:
            return {}
        turn = SimpleCookie(self.headers.get("Cookie", "")).get("turn")
        return {"Set_Cookie": f"turn={int(turn.value) + 1 if turn else 1}; Path=/; Max-Age=3600"}

    def _page(self, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def _file(
        self, content: bytes | Path, etag: str | None = None, *, any_version: bool = False
    ) -> None:
        """Serve a file, or a part of it where If-Range allows (`any_version`: always)."""
        body = content if isinstance(content, bytes) else content.read_bytes()
        etag = etag or etag_of(body)
        asked = self.headers.get("Range", "") if self.site.ranges else ""
        if not any_version and self.headers.get("If-Range", etag) != etag:
            asked = ""
        first, status = 0, 200
        if asked.startswith("bytes="):
            first_text, _, last = asked.removeprefix("bytes=").partition("-")
            first, status = int(first_text), 206
            whole = len(body)
            body = body[first : int(last) + 1] if last else body[first:]
        self.send_response(status)
        self.send_header("Content-Type", KINDS.get(Path(self.path).suffix, "video/mp4"))
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{whole}")
        if self.site.versions:
            self.send_header("ETag", etag)
        self.end_headers()
        asked_for = self.site.asked[-1]
        for place in range(0, len(body), 2**16):
            self.wfile.write(body[place : place + 2**16])
            asked_for.n_bytes += len(body[place : place + 2**16])

    def _misbehave(self, fault: Fault) -> None:
        kind = fault.kind
        if kind in STATUS:
            more = {"Retry_After": fault.value} if fault.value else {}
            self._page(b"no", "text/plain", STATUS[kind], **more)
        elif kind == "redirect":
            self._page(b"", "text/plain", 302, Location=fault.value or self.path)
        elif kind == "html":
            self._page(b"<!DOCTYPE html><html>gone</html>", fault.value or "text/html")
        elif kind == "playlist":
            body = b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"
            self._page(body, fault.value or "video/mp4")
        elif kind == "bomb":
            body = gzip.compress(b"<p>" * 2**25)
            self._page(body, fault.value or "video/mp4", Content_Encoding="gzip")
        elif kind == "words":
            self.send_response(500, "no \x1b[2J\x1b]0;owned\x07 " + "x" * 5000)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind in ENDLESS:
            self._endless(kind)
        elif kind in RESUMED:
            self._other_after_break(kind, fault.value)
        elif kind in FILE_FAULTS:
            self._broken_file(kind)
        else:
            raise AssertionError(f"no fault {kind!r}")

    def _endless(self, kind: str) -> None:
        self.send_response(302 if kind == "endless_redirect" else 200)
        self.send_header("Content-Type", "video/mp4")
        if kind == "endless_redirect":
            self.send_header("Location", "/elsewhere.mp4")
        pack = zlib.compressobj(0, wbits=zlib.MAX_WBITS | 16)
        if kind == "endless_gzip":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        block = random.Random(1).randbytes(2**16)
        while not self.site.stop.is_set():
            data = block if kind != "endless_gzip" else pack.compress(block)
            self.wfile.write(data)
            self.site.sent += len(data)

    def _other_after_break(self, kind: str, other: str) -> None:
        """Half of the file and a reset; then, from the same place on, something else."""
        content = self.site.files[self.path]
        body = content if isinstance(content, bytes) else content.read_bytes()
        if self.site.hits[self.path] == 1:
            self._broken_file("reset")
        elif kind == "wrong_part_after_break" and "Range" in self.headers:
            self._page(body[7:], "video/mp4", 206, ETag=etag_of(body),
                       Content_Range=f"bytes 7-{len(body) - 1}/{len(body)}")  # fmt: skip
        elif kind == "wrong_part_after_break":
            self._file(body)
        elif kind == "junk_after_break":
            junk = random.Random(1).randbytes(len(body))
            self._file(junk, etag_of(body), any_version=True)
        else:
            self._file(self.site.files[other], any_version=kind == "other_part_after_break")

    def _broken_file(self, kind: str) -> None:
        content = self.site.files[self.path]
        body = content if isinstance(content, bytes) else content.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(10 * 10**9 if kind == "huge" else len(body)))
        if self.site.versions:
            self.send_header("ETag", etag_of(body))
        self.end_headers()
        half = body[: len(body) // 2]
        if kind == "drip":
            for i in range(len(half)):
                if self.site.stop.wait(0.2):
                    return
                self.wfile.write(half[i : i + 1])
        self.wfile.write(half)
        self.wfile.flush()
        if kind == "stall":
            self.site.stop.wait(120)
        elif kind == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()


def etag_of(body: bytes) -> str:
    """Return the strong ETag of a file."""
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


@contextmanager
def serving() -> Iterator[Site]:
    """A server on a free port of this machine while the block runs."""
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield site
    finally:
        site.stop.set()
        server.shutdown()
        server.server_close()
