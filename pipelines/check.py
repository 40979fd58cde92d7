"""`beam check`: looks over this machine before a job."""

import importlib.metadata
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from extractors.weights import WEIGHTS, find_weights, missing_weights
from pipelines.media.ffmpeg import ffmpeg_binary, ffmpeg_version
from schemas import UsageError

_OLD_DAYS = 60
_JAVASCRIPT = ("deno", "node", "bun", "qjs")

Verdict = Literal["ok", "note", "bad"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Look over this machine: ffmpeg, yt-dlp, JavaScript runtime, weights, disk, GPU, cookies.

    Exit status 1 when something that every job needs is missing.
    """

    out: str = "."
    """Where tables would go; its free space is checked."""
    weights_dir: str | None = None
    """Folder with weight files."""
    cookies: str | None = None
    """Cookies file for downloads, in Netscape form."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    verdict: Verdict
    found: str


def run(config: Config, rest: list[str]) -> int:
    """Print a table of findings; 1 when one is bad."""
    if config.weights_dir is not None and not Path(config.weights_dir).is_dir():
        raise UsageError(f"--weights-dir {config.weights_dir} is not a folder")
    findings = list(look(config))
    table = Table("", "what", "found")
    signs = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "bad": "[red]bad[/red]"}
    for finding in findings:
        table.add_row(signs[finding.verdict], escape(finding.what), escape(finding.found))
    Console().print(table)
    return 1 if any(finding.verdict == "bad" for finding in findings) else 0


def look(config: Config) -> Iterator[Finding]:
    """Every finding, one after the other."""
    yield _ffmpeg()
    yield _yt_dlp()
    yield _javascript()
    yield from _weights(config)
    yield _disk(Path(config.out))
    yield _gpu()
    if config.cookies is not None:
        yield _cookies(Path(config.cookies))


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


def _javascript() -> Finding:
    for name in _JAVASCRIPT:
        path = shutil.which(name)
        if path:
            return Finding("JavaScript", "ok", f"{name} at {path}")
    return Finding(
        "JavaScript", "note", f"none of {', '.join(_JAVASCRIPT)}; yt-dlp needs one for YouTube"
    )


def _weights(config: Config) -> Iterator[Finding]:
    folder = Path(config.weights_dir) if config.weights_dir else None
    for file in (WEIGHTS[name] for name in ("vggish", "resnet152", "r2plus1d")):
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
        return Finding("GPU", "note", "no CUDA device; the nets run on the processor")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Finding("GPU", "ok", ", ".join(names))


def _cookies(path: Path) -> Finding:
    from http.cookiejar import LoadError, MozillaCookieJar

    jar = MozillaCookieJar(path)
    try:
        jar.load(ignore_expires=True)
    except (LoadError, OSError) as error:
        return Finding("cookies", "bad", f"{path}: {error}")
    expired = sum(cookie.is_expired() for cookie in jar)
    if expired:
        return Finding("cookies", "note", f"{expired} of {len(jar)} in {path} have expired")
    return Finding("cookies", "ok", f"{len(jar)} in {path}")
