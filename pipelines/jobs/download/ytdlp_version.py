"""The yt-dlp that fetches: the one that is installed, or another version in a folder of its own.

Another version is installed once, with what it needs, into a folder of the cache. Only the fetching
processes see it, in front of everything else, so that nothing that is installed changes.
"""

import fcntl
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.media.child_process import (
    ChildDiedError,
    ChildProcess,
    ChildTimeoutError,
    answer_requests,
)
from schemas import JobError, UsageError
from schemas.messages import printable
from schemas.published import cache_folder

_VERSION = re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}(\.\d{1,6})?(\.dev\d{1,6})?")
_INSTALL_S = 600.0
_MOST_SAID = 300
_MOST_MEMORY = 2 * 2**30
_ANSWER_S = 30.0


@dataclass(frozen=True)
class YtDlp:
    """What a version of yt-dlp can do here."""

    version: str
    sabr: bool
    """Whether it has a downloader for SABR."""
    browsers: tuple[str, ...]
    """What it can impersonate."""
    no_browsers: str
    """Why it can impersonate nothing."""
    impersonates: bool
    """Whether the browser that was asked for is among them."""


def packages_folder(version: str) -> Path:
    """Return the folder with a version of yt-dlp; install it there unless that was done before.

    Raises `UsageError` where it is no version, or cannot be installed.
    """
    if not _VERSION.fullmatch(version):
        raise UsageError(
            f"--yt-dlp {printable(version, 50)} is no version of yt-dlp; give one such as "
            "2026.10.26, or of a nightly 2026.10.26.220202.dev0"
        )
    folder = cache_folder() / "yt-dlp" / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            part = folder.with_name(f"{version}.part")
            shutil.rmtree(part, ignore_errors=True)  # of one that was killed
            _install(version, part)
            part.rename(folder)
    return folder


def _install(version: str, folder: Path) -> None:
    """Install a version with what it needs; `UsageError` with the installer's last word."""
    wanted = ["--quiet", "--target", str(folder), f"yt-dlp[default]=={version}"]
    uv = shutil.which("uv")
    if importlib.util.find_spec("pip") is not None:
        installer = [sys.executable, "-m", "pip", "install", "--no-input"]
        installer.append("--disable-pip-version-check")
    elif uv is not None:
        installer = [uv, "pip", "install", "--python", sys.executable]
    else:
        raise UsageError(f"--yt-dlp {version} cannot be installed: neither pip nor uv is here")
    try:
        done = subprocess.run(
            [*installer, *wanted], capture_output=True, text=True, check=False, timeout=_INSTALL_S,
            stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
        said, failed = done.stderr.strip(), done.returncode != 0
    except subprocess.TimeoutExpired:
        said, failed = f"it took longer than {_INSTALL_S:g} s", True
    if failed:
        last = printable(said.splitlines()[-1] if said else "it said nothing", _MOST_SAID)
        raise UsageError(
            f"--yt-dlp {version} cannot be installed: {last.removeprefix('ERROR: ')}; name another "
            "version, or leave the option out to take the one that is installed"
        )


def search_path(version: str | None) -> tuple[str, ...]:
    """Return what the fetching processes are to find before everything else."""
    return () if version is None else (str(packages_folder(version)),)


def look_at(version: str | None, target: str = "") -> YtDlp:
    """Ask a version, or the one that is installed, what it can do; `target` is a browser's name.

    Raises `UsageError` for a version that does not work with this program.
    """
    child = ChildProcess("pipelines.jobs.download.ytdlp_version", ahead=search_path(version))
    try:
        found = json.loads(child.ask(json.dumps(target).encode(), _ANSWER_S))
    except (ChildDiedError, ChildTimeoutError, JobError) as error:
        named = f"--yt-dlp {version}" if version else "the yt-dlp that is installed"
        raise UsageError(f"{named} does not work here ({error}); name another version") from None
    finally:
        child.close()
    return YtDlp(**{**found, "browsers": tuple(found["browsers"])})


def check_ytdlp(version: str | None, *, sabr: bool, impersonate: str | None) -> None:
    """Raise `UsageError` where yt-dlp cannot do what the options ask of it."""
    if version is None and not sabr and impersonate is None:
        return
    found = look_at(version, impersonate or "")
    if sabr and not found.sabr:
        raise UsageError(
            f"--sabr: yt-dlp {found.version} has no downloader for SABR; name a version that has "
            "one with --yt-dlp VERSION, or leave --sabr out"
        )
    if impersonate is None or found.impersonates:
        return
    shown = printable(impersonate, 50)
    if not found.browsers:
        raise UsageError(
            f"--impersonate {shown}: no browser is available, because {found.no_browsers}; "
            "pip install 'earsight[impersonate]'"
        )
    raise UsageError(
        f"--impersonate {shown} is not available; available are {', '.join(found.browsers)}, and "
        "less of such a name, as in chrome or safari:ios"
    )


def _look(target: str) -> YtDlp:
    """Return what the yt-dlp of this process can do; fails where it does not fit this program."""
    from yt_dlp.downloader import PROTOCOL_MAP

    from pipelines.jobs.download.fetch.ytdlp import warm_up

    warm_up("youtube")
    version, sabr = importlib.metadata.version("yt-dlp"), "sabr" in PROTOCOL_MAP
    try:
        from pipelines.jobs.download.fetch.site import impersonation
    except ImportError as error:
        return YtDlp(version, sabr, (), str(error), False)
    there = impersonation.read_target(target) is not None
    return YtDlp(version, sabr, tuple(impersonation.available_targets()), "", there)


if __name__ == "__main__":
    answer_requests(lambda line: json.dumps(asdict(_look(json.loads(line)))).encode(), _MOST_MEMORY)
