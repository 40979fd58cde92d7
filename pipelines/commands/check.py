"""`beam check`: looks over this machine before a job."""

import importlib.metadata
import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from rich.table import Table
from rich.text import Text

from extractors.nets.weights import find_weights, missing_weights, weights_of
from pipelines.media.ffmpeg import ffmpeg_version
from schemas import RECIPES, KnownError, UsageError
from schemas.machine.ffmpeg import ffmpeg_binary
from schemas.settings import screen

_OLD_DAYS = 60

Verdict = Literal["ok", "note", "bad"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Look over this machine: ffmpeg, yt-dlp, JavaScript runtime, weights, disk, GPU, cookies.

    Exit status 1 when something that every job needs is missing.
    """

    out: str = "."
    """Where tables would go; its free space is checked."""
    weights_dir: str | None = None
    """Folder with weight files."""
    cookies: str | None = None
    """Cookies file for downloads, in Netscape form."""
    proxy: str | None = None
    """Proxy for the test download."""
    hosts: str = ""
    """Further hosts that the test download may ask, separated by commas."""
    test_download: str | None = None
    """YouTube id of a video to fetch ten seconds of, as a test; nothing is fetched without it."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    verdict: Verdict
    detail: str


def run(options: Options, rest: list[str]) -> int:
    """Print a table of findings; 1 when one is bad."""
    if options.weights_dir is not None and not Path(options.weights_dir).is_dir():
        raise UsageError(f"--weights-dir {options.weights_dir} is not a folder")
    findings = list(look(options))
    table = Table("", "what", "found")
    colours = {"ok": "green", "note": "yellow", "bad": "red"}
    for finding in findings:
        sign = Text(finding.verdict, style=colours[finding.verdict])
        table.add_row(sign, finding.what, finding.detail)
    screen.results().print(table)
    return 1 if any(finding.verdict == "bad" for finding in findings) else 0


def look(options: Options) -> Iterator[Finding]:
    """Yield every finding, one after the other."""
    yield _ffmpeg()
    yield _yt_dlp()
    yield _solver()
    yield _javascript()
    yield _tokens()
    yield from _weights(options)
    yield _disk(Path(options.out))
    yield _gpu()
    if options.cookies is not None:
        yield _cookies(Path(options.cookies))
    if options.test_download is not None:
        yield _test_download(options, options.test_download)


def _ffmpeg() -> Finding:
    try:
        return Finding("ffmpeg", "ok", f"{ffmpeg_version()} at {ffmpeg_binary()}")
    except UsageError as error:
        return Finding("ffmpeg", "bad", str(error))


def _yt_dlp() -> Finding:
    version = importlib.metadata.version("yt-dlp")
    year, month, day = (int(part) for part in re.findall(r"\d+", version)[:3])
    age = (datetime.now(UTC).date() - date(year, month, day)).days
    if age > _OLD_DAYS:
        return Finding("yt-dlp", "note", f"{version} is {age} days old; sites change, so update it")
    return Finding("yt-dlp", "ok", f"{version}, {age} days old")


def _solver() -> Finding:
    """Look for the scripts with which a JavaScript runtime solves YouTube's challenges."""
    try:
        return Finding("yt-dlp-ejs", "ok", importlib.metadata.version("yt-dlp-ejs"))
    except importlib.metadata.PackageNotFoundError:
        note = "not here; most formats of YouTube need it: pip install 'yt-dlp[default]'"
        return Finding("yt-dlp-ejs", "note", note)


def _javascript() -> Finding:
    """Look for a JavaScript runtime that yt-dlp supports, as yt-dlp itself tells."""
    import yt_dlp  # noqa: F401 fills the table
    from yt_dlp.globals import supported_js_runtimes

    runtimes = [(name, kind().info) for name, kind in supported_js_runtimes.value.items()]
    old = [f"{name} {info.version}" for name, info in runtimes if info and not info.supported]
    for name, info in runtimes:
        if info is not None and info.supported:
            return Finding("JavaScript", "ok", f"{name} {info.version}")
    known = ", ".join(supported_js_runtimes.value)
    if old:
        note = f"{', '.join(old)} is too old for yt-dlp; install a newer one or deno"
        return Finding("JavaScript", "note", note)
    return Finding("JavaScript", "note", f"none of {known}; yt-dlp needs one for YouTube")


def _tokens() -> Finding:
    """Look for a provider of proof-of-origin tokens that answers."""
    from pipelines.jobs.download.token_providers import find_providers

    found = find_providers()
    ready = [name for name, said in found.items() if not said]
    if ready:
        return Finding("PO tokens", "ok", f"{', '.join(ready)} answers")
    if found:
        said = "; ".join(f"{name}: {said}" for name, said in found.items())
        return Finding("PO tokens", "note", f"{said}; see docs/download.md")
    note = "no provider; needed only where a failure says so (docs/download.md)"
    return Finding("PO tokens", "note", note)


def _weights(options: Options) -> Iterator[Finding]:
    folder = Path(options.weights_dir) if options.weights_dir else None
    for file in weights_of(RECIPES["llp-eccv20"]):
        if missing_weights(file, folder):
            note = f"not here; a job fetches {file.address}, or use --weights seeded"
            yield Finding(file.name, "note", note)
            continue
        try:
            _, hashes = find_weights(file, folder)
        except UsageError as error:
            yield Finding(file.name, "bad", str(error))
        else:
            yield Finding(file.name, "ok", ", ".join(h[:16] for h in hashes.values()))


def _disk(out: Path) -> Finding:
    folder = out
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("disk", "ok" if free > 10 else "note", f"{free:.1f} GB free for {out}")


def _gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", "note", "no CUDA device; the nets run on the CPU")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("GPU", "ok", ", ".join(names))


def _cookies(path: Path) -> Finding:
    from http.cookiejar import LoadError, MozillaCookieJar

    jar = MozillaCookieJar(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # a traceback of its own for a damaged line
            jar.load(ignore_expires=True, ignore_discard=True)
    except (LoadError, ValueError):  # what they say quotes cookies
        said = "is no cookies file in Netscape form; export them again"
        return Finding("cookies", "bad", f"{path} {said}")
    except OSError as error:
        return Finding("cookies", "bad", f"{path} cannot be read: {error.strerror}")
    expired = sum(cookie.is_expired() for cookie in jar)
    if not len(jar) or expired == len(jar):
        what = "all have expired" if expired else "there is none"
        return Finding("cookies", "bad", f"{what} in {path}; export them again")
    if expired:
        return Finding("cookies", "note", f"{expired} of {len(jar)} in {path} have expired")
    return Finding("cookies", "ok", f"{len(jar)} in {path}")


def _test_download(options: Options, video_id: str) -> Finding:
    """Fetch ten seconds of one video as a job would, and throw the file away."""
    from pipelines.jobs.download.fetch.addresses import read_hosts, youtube_address
    from pipelines.jobs.download.fetch.messages import FetchRequest, Limits
    from pipelines.jobs.download.fetch.ytdlp import YOUTUBE_HOSTS
    from pipelines.jobs.download.pool import ProcessPool

    try:
        address = youtube_address(video_id)
    except KnownError as error:
        raise UsageError(f"--test-download: {error.detail}") from None
    pool = ProcessPool(1, None, "youtube")
    try:
        with pool.process() as process, pool.work_folder() as folder:
            request = FetchRequest(
                key=video_id, video_id=video_id, start_s=0.0, end_s=10.0, source="youtube",
                location=address, extent="video", folder=str(folder), limits=Limits(),
                hosts=(*YOUTUBE_HOSTS, *read_hosts(options.hosts)),
                cookies=options.cookies, proxy=options.proxy,
            )  # fmt: skip
            result = process.ask(request)
    finally:
        pool.close()
    if result.facts is None:
        return Finding("test download", "bad", f"{result.reason}: {result.detail[:300]}")
    facts = result.facts
    detail = f"format {facts['format_id']}, {facts['duration_s']:.1f} s, {facts['size']:,} bytes"
    return Finding("test download", "ok", detail)
