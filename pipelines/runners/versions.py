"""Which earsight this is, and the versions that the launcher and its workers must share."""

import importlib.metadata
import subprocess
from dataclasses import dataclass
from pathlib import Path

from schemas import JobError

_PACKAGES = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Versions:
    """What the job was made with; it travels to the workers, which compare."""

    earsight: str
    beam: str

    @classmethod
    def here(cls) -> "Versions":
        """Return the versions of this environment."""
        return cls(
            importlib.metadata.version("earsight"), importlib.metadata.version("apache-beam")
        )

    def check(self) -> None:
        """Raise `JobError` with both versions where this environment has others."""
        here = Versions.here()
        for name, wanted, installed in (
            ("earsight", self.earsight, here.earsight),
            ("Beam", self.beam, here.beam),
        ):
            if installed != wanted:
                raise JobError(
                    f"the launcher has {name} {wanted} and the worker has {name} {installed}; "
                    "build the worker's image from the launcher's version and name it with "
                    "--sdk_container_image"
                )


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
