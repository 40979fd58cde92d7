"""Archives and names that a download is pointed at: tar files, Parquet files, addresses, names."""

import io
import random
import string
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.jobs.download.fetch.addresses import (
    check_name,
    check_template,
    mirror_address,
    read_hosts,
    read_site_args,
    youtube_address,
)
from pipelines.jobs.download.fetch.archives import ArchiveError, list_archive
from pipelines.jobs.download.fetch.guard import Allowance
from pipelines.jobs.download.fetch.local_sources import extract_media
from schemas import Clip, KnownError, Reason, UsageError
from schemas.secrets import redact, redact_address, redact_command
from tests.faults.family import Family, Outcome, of_message

MOST_BYTES = 100_000
NAMES = (
    "a_0_3.mp4", "b.mp4", "x/y.webm", "../../c.mp4", "/etc/d.mp4", "\x1b[2J.mp4", "e\n.mp4",
    "caf\udce9.mp4", "n" * 300 + ".mp4", "no media.txt", "", ".", "..mp4", ".mp4", "f.MP4",
)  # fmt: skip
SIZES = (0, 1, 511, 512, 513, 10_000, 2**31, 6 * 2**30, 2**62, -1, -512, -(2**62))
TYPES = tuple(b"01234567SLKVNMgxX\x00\xff")


@dataclass(frozen=True)
class Archive:
    """An archive as bytes, and how large its file is made."""

    ending: str
    data: bytes
    size: int


def make_tar(dice: random.Random) -> Archive:
    """A tar file with headers of any size and kind, some bytes changed, cut off or stretched."""
    blocks = [tar_entry(dice) for _ in range(dice.randrange(0, 6))]
    if dice.random() < 0.02:
        blocks *= 4000
    data = b"".join(blocks) + bytes(dice.choice((0, 512, 1024)))
    return spoiled(dice, ".tar", data)


def tar_entry(dice: random.Random) -> bytes:
    """Return one header with a right checksum, and what follows it."""
    form: Any = dice.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT))
    info = tarfile.TarInfo(dice.choice(NAMES)[:99])
    content = dice.randbytes(dice.choice((0, 3, 700)))
    info.size = len(content)
    if form == tarfile.PAX_FORMAT and dice.random() < 0.5:
        pairs = (("size", "99999999999"), ("path", "z.mp4"), ("GNU.sparse.size", "9" * 30),
                 ("GNU.sparse.map", "0,1,2"), ("mtime", "nan"), ("x" * 50, "\ud800"))  # fmt: skip
        info.pax_headers = dict(dice.sample(pairs, 2))
    with suppress(ValueError, UnicodeError):
        head = bytearray(info.tobuf(form, "utf-8", "surrogateescape"))
        if dice.random() < 0.6:
            start = len(head) - 512
            size = dice.choice(SIZES)
            field = f"{size:011o}\0".encode() if 0 <= size < 8**11 else (
                (size & (1 << 96) - 1 | 1 << 95).to_bytes(12, "big")
            )  # fmt: skip
            head[start + 124 : start + 136] = field
            head[start + 156] = dice.choice(TYPES)
            head[start + 148 : start + 156] = b" " * 8
            head[start + 148 : start + 156] = f"{sum(head[start:]):06o}\0 ".encode()
        return bytes(head) + content.ljust(-(-len(content) // 512) * 512, b"\0")
    return dice.randbytes(512)


def make_parquet(dice: random.Random) -> Archive:
    """A Parquet file with columns of any type, some bytes changed, cut off or stretched."""
    n = dice.choice((0, 1, 3, 50))
    keys = [dice.choice(NAMES[:7]) for _ in range(n)]
    values = [dice.randbytes(dice.choice((0, 5, 3000))) for _ in range(n)]
    media: dict[str, Callable[[], pa.Array]] = {
        "binary": lambda: pa.array(values, pa.binary()),
        "struct": lambda: pa.array(
            [{"bytes": value, "path": key} for key, value in zip(keys, values, strict=True)],
            pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        ),
        "numbers": lambda: pa.array([{"bytes": 5 * 10**9, "path": key} for key in keys]),
        "lists": lambda: pa.array([[1, 2] for _ in keys]),
        "text": lambda: pa.array(keys),
        "nulls": lambda: pa.array([None for _ in keys], pa.binary()),
    }
    columns = {dice.choice(("video", "media", "id")): media[dice.choice([*media])]()}
    if dice.random() < 0.7:
        columns[dice.choice(("clip_key", "key", "youtube_id"))] = pa.array(keys, pa.string())
    target = io.BytesIO()
    pq.write_table(
        pa.table(columns), target, row_group_size=dice.choice((1, 2, 100)),
        compression=dice.choice(("none", "snappy", "zstd", "gzip")),
    )  # fmt: skip
    return spoiled(dice, ".parquet", target.getvalue())


def spoiled(dice: random.Random, ending: str, data: bytes) -> Archive:
    """Change some bytes of half of the files."""
    changed = bytearray(data)
    for _ in range(dice.choice((0, 0, 0, 1, 1, 3, 20))):
        if changed:
            changed[dice.randrange(len(changed))] = dice.randrange(256)
    kind = dice.random()
    if kind < 0.1:
        del changed[dice.randrange(len(changed) + 1) :]
    size = 7 * 2**30 if kind > 0.95 else len(changed)
    return Archive(ending, bytes(changed), max(size, len(changed)))


def run_archive(case: Archive, folder: Path) -> Outcome:
    """List an archive and take out what it lists; no file is outside the folder."""
    path = folder / f"source{case.ending}"
    path.write_bytes(case.data)
    with path.open("r+b") as file:
        file.truncate(case.size)
    try:
        found = list(list_archive(path))
    except ArchiveError as error:
        return of_message(str(error))
    failed = 0
    for number, (stem, location) in enumerate(found[:60]):
        stem.encode()
        target = folder / f"{number}.media"
        try:
            made = extract_media(location, path, target, MOST_BYTES)
        except KnownError as error:
            failed += 1
            Reason(error.reason)
            continue
        if made != target or target.stat().st_size > MOST_BYTES:
            return Outcome.WRONG_ROWS
        if case.ending == ".tar" and target.read_bytes() not in case.data + bytes(MOST_BYTES):
            return Outcome.WRONG_ROWS
        target.unlink()
    return Outcome.FAILURE if failed else Outcome.ROWS


SPLINTERS = (
    "", "a", "..", "/", "\\", "\x00", "\x1b[31m", "\n", "@", ":", "%2e", "{x}", "[", "]", "://",
    "{video_id}", "http", "https://", "ftp://", "file:", "?", "#", "=", "&", "'", '"', " ",
    "\u202e", "\ud800", "127.0.0.1", "::1", "99999", "$(id)", "-o", "\u0663", "x" * 300,
)  # fmt: skip


@dataclass(frozen=True)
class Words:
    """A name, an address and a secret."""

    name: str
    address: str
    secret: str


def make_words(dice: random.Random) -> Words:
    """Put splinters together."""
    name = "".join(dice.choices(SPLINTERS, k=dice.randrange(1, 6)))
    address = "".join(dice.choices(SPLINTERS, k=dice.randrange(1, 8)))
    if dice.random() < 0.5:
        address = f"https://{address}/{{clip_key}}"
    letters = string.ascii_letters + string.digits + "'\"$+%=!*()~|\\`"
    return Words(name, address, "".join(dice.choices(letters, k=dice.randrange(6, 16))))


def run_words(case: Words, folder: Path) -> Outcome:
    """Make paths and addresses of them; none leads elsewhere, no secret is left."""
    outcome = Outcome.ROWS
    for check in (check_name, youtube_address):
        try:
            text = check(case.name)
        except KnownError as error:
            outcome = Outcome.FAILURE
            if not error.detail.isprintable():
                return Outcome.UNREADABLE
        else:
            if check is check_name and (folder / f"{text}.mp4").parent != folder:
                return Outcome.WRONG_ROWS
    for read in (check_template, read_hosts, read_site_args):
        try:
            read(case.address)
        except UsageError as error:
            if of_message(str(error)) is not Outcome.SENTENCE:
                return Outcome.UNREADABLE
    with suppress(UsageError, KnownError):
        host, _ = check_template(case.address)
        mirror_address(case.address, Clip(case.name or "a", 0.0, 1.0))
        Allowance((host,), 10, 10.0)
    with suppress(KnownError):
        Allowance(("a.example:443",), 10, 10.0).check_address(case.address)
        return Outcome.WRONG_ROWS  # no splinter is that host
    with_secret = f"https://me:{case.secret}@h/x?key={case.secret}"
    shown = (
        redact(f"{case.address} {with_secret} {case.secret!r}", [case.secret]),
        redact_command(["beam", f"--proxy={with_secret}", "--user-agent", case.secret]),
    )
    if any(case.secret in text for text in shown):
        return Outcome.LEAK
    redact_address(case.address)
    return outcome


FAMILIES = (
    Family("tar", make_tar, run_archive, sample=40),
    Family("parquet", make_parquet, run_archive, sample=40),
    Family("addresses", make_words, run_words, sample=100),
)
