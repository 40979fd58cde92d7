"""Answers of servers, byte by byte: heads that lie, bodies that break off, swell or never end."""

import functools
import gzip
import hashlib
import random
import socket
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.jobs.download.fetch.messages import FetchRequest, Limits
from pipelines.jobs.download.fetch.process import Fetcher
from schemas import Reason
from tests.faults.family import Family, Outcome
from tests.faults.media_samples import sample

MOST_BYTES = 400_000
TIMEOUT_S = 3.0
STATUS = (b"200 OK", b"206 Partial Content", b"301 Moved", b"302 Found", b"304 Not Modified",
          b"307 Temporary Redirect", b"401 No", b"403 No", b"404 No", b"416 No", b"429 Slow",
          b"451 No", b"500 No", b"503 Later", b"204 None", b"100 Continue", b"999 What", b"-1 x",
          b"200", b"99999999999 x", b"200 \x1b[2J\x1b]0;x\x07", b"\xff\xfe")  # fmt: skip
HEADERS = (
    b"Content-Length: %d", b"Content-Length: -5", b"Content-Length: 99999999999999999999999",
    b"Content-Length: \xb2", b"Content-Length: 0", b"Content-Length: 10", b"Content-Range: x",
    b"Content-Range: bytes 0-9/10", b"Content-Range: bytes 5-%d/%d", b"Content-Range: bytes 0-%d/*",
    b"Content-Range: bytes 99999999999999999999-1/1", b"Content-Encoding: gzip",
    b"Content-Encoding: gzip, gzip, deflate", b"Content-Encoding: br", b"Content-Encoding: x",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: \x00", b"ETag: \"a\"", b"ETag: W/\"a\"",
    b"ETag: \x1b[31m", b"Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT", b"Last-Modified: \xff",
    b"Retry-After: Fri, 31 Dec 9999 23:59:59 -0100", b"Retry-After: 1e999", b"Retry-After: 9999999",
    b"Retry-After: Mon, 99 Foo 0000 99:99:99 +9999", b"Location: http://127.0.0.1:1/x",
    b"Location: file:///etc/passwd", b"Location: //\x00", b"Location: http://[::1", b"Location: /a",
    b"Location: " + b"/a" * 20_000, b"Location: ftp://127.0.0.1/x", b"Location: ?again",
    b"Content-Type: text/html", b"Content-Type: application/x-mpegURL", b"Content-Type: \x1b[2J",
    b"Set-Cookie: a=b; Domain=.com; Expires=Fri, 31 Dec 9999 23:59:59 -0100", b"Set-Cookie: \x00=;",
    b"Connection: keep-alive", b"no colon at all", b": empty", b"X: " + b"y" * 70_000, b" folded",
    b"Accept-Ranges: bytes", b"Trailer: X",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One answer as bytes; what follows its head may be cut off, or never end."""

    head: bytes
    body: bytes
    endless: bool


@dataclass(frozen=True)
class Answers:
    """The answers to one request after the other; the last is given again."""

    answers: tuple[Answer, ...]
    honest: bool
    """Whether the last answer is the film."""


def film() -> bytes:
    """Return the film that honest answers hold."""
    return sample("mp4")


def make(dice: random.Random) -> Answers:
    """One to four answers, of which the last may be an honest one."""
    answers = [make_answer(dice) for _ in range(dice.randrange(1, 4))]
    honest = dice.random() < 0.4
    if honest:
        data = film()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
        answers.append(Answer(head, data, endless=False))
    return Answers(tuple(answers), honest)


def make_answer(dice: random.Random) -> Answer:
    """Put an answer together from parts that may not fit each other."""
    data = make_body(dice)
    lines = [dice.choice((b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/9.9 ", b"")) + dice.choice(STATUS)]
    if dice.random() < 0.6:
        lines = [b"HTTP/1.1 " + dice.choice(STATUS[:2])]
        lines.append(b"Content-Length: %d" % len(data))
    for _ in range(dice.randrange(0, 5)):
        line = dice.choice(HEADERS)
        lines.append(line.replace(b"%d", b"%d" % len(data)))
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    if dice.random() < 0.1:
        head = head[: dice.randrange(len(head))]
    if dice.random() < 0.1:
        place = dice.randrange(len(head) + 1)
        head = head[:place] + dice.randbytes(3) + head[place:]
    return Answer(head, data, endless=dice.random() < 0.15)


def make_body(dice: random.Random) -> bytes:
    """Return a film, whole, cut off or spoiled, or something that is none."""
    data = film()
    kind = dice.randrange(9)
    if kind == 0:
        return data
    if kind == 1:
        return data[: dice.randrange(len(data))]
    if kind == 2:
        place = dice.randrange(len(data))
        return data[:place] + dice.randbytes(dice.choice((1, 200, len(data) - place)))
    if kind == 3:
        return gzip.compress(bytes(dice.choice((10, 10**6, 10**8))), 9)
    if kind == 4:
        return zlib.compress(data)
    if kind == 5:
        return b"%x\r\n%s\r\n" % (len(data), data) + dice.choice((b"0\r\n\r\n", b"zz\r\n", b""))
    if kind == 6:
        return b"<!DOCTYPE html><html>\x1b[2J" + dice.randbytes(50)
    if kind == 7:
        return b"#EXTM3U\nfile:///etc/passwd\n"
    return dice.randbytes(dice.choice((0, 1, 500, 100_000)))


@contextmanager
def served(case: Answers) -> Iterator[int]:
    """Give the answers on a port of this machine."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        thread = threading.Thread(target=serve, args=(server, case, stop), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def serve(server: socket.socket, case: Answers, stop: threading.Event) -> None:
    """Answer one connection after the other."""
    given = 0
    while not stop.is_set():
        with suppress(OSError), closing(server.accept()[0]) as connection:
            connection.settimeout(0.5)
            connection.recv(2**16)
            answer = case.answers[min(given, len(case.answers) - 1)]
            given += 1
            connection.sendall(answer.head + answer.body)
            while answer.endless and not stop.is_set():
                connection.sendall(answer.body or b"\x00" * 1000)


@functools.cache
def fetcher() -> Fetcher:
    """Return one fetcher for all cases, as a fetching process has it; it keeps nothing on disk."""
    return Fetcher(Path(tempfile.gettempdir()))


def run(case: Answers, folder: Path) -> Outcome:
    """Fetch one clip; a clip that is taken is the film, or decodes as one without damage."""
    (folder / "work").mkdir()
    with served(case) as port:
        request = FetchRequest(
            key="a", video_id="a", start_s=0.0, end_s=float("inf"), source="mirror",
            location=f"http://127.0.0.1:{port}/a", extent="clip", folder=str(folder / "work"),
            limits=Limits(max_bytes=MOST_BYTES, timeout_s=TIMEOUT_S, first_pause_s=0.001),
            hosts=(f"127.0.0.1:{port}",),
        )  # fmt: skip
        result = fetcher().fetch(request)
    if result.facts is None:
        if result.reason == Reason.INTERNAL:
            raise AssertionError(result.detail)
        readable = result.detail.isprintable() and 0 < len(result.detail) < 10_000
        Reason(result.reason)
        return Outcome.FAILURE if readable else Outcome.UNREADABLE
    made = Path(result.path).read_bytes()
    same = hashlib.sha256(made).hexdigest() == result.facts["sha256"]
    whole = result.facts["duration_s"] > 1.0 and result.facts["width"] == 48
    return Outcome.ROWS if same and whole else Outcome.WRONG_ROWS


FAMILIES = (Family("http_answers", make, run, sample=6, time_limit_s=30.0),)
