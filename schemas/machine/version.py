"""Which earsight this is: its release, and the commit that it was made from."""

import importlib.metadata
import subprocess
from pathlib import Path

_PACKAGES = Path(__file__).resolve().parents[2]


def version_line() -> str:
    """Return name, version and commit, such as `earsight 0.1.0 (commit 4177a3d0c1f2)`."""
    commit = find_commit()
    return f"earsight {importlib.metadata.version('earsight')} (commit {commit or 'unknown'})"


def find_commit(packages: Path = _PACKAGES) -> str | None:
    """Return the commit of the checkout that the packages lie in, or were built from."""
    if not (packages / ".git").exists():
        built = packages / "pipelines" / "commit.txt"  # written by setup.py
        return built.read_text()[:12] if built.is_file() else None
    command = ["git", "-C", str(packages), "rev-parse", "--short=12", "HEAD"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):  # no git on this machine
        return None
    return asked.stdout.strip() or None
