"""Dockerfiles read, and carried out in a folder that serves as the root of a machine.

Only what our own files use: FROM, ARG, ENV, COPY, RUN, WORKDIR, USER and ENTRYPOINT. Whatever is
copied out of another image is left out, since there is no engine to fetch it.
"""

import shlex
import shutil
import string
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_CHROOT = shutil.which("chroot") or "chroot"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines set where an image says nothing."""
KEYWORDS = ("FROM", "ARG", "ENV", "COPY", "RUN", "WORKDIR", "USER", "ENTRYPOINT")


def read_dockerfile(path: Path) -> Iterator[tuple[str, str]]:
    """Keyword and text of every instruction, continued lines joined."""
    lines = (line for line in path.read_text().splitlines() if not line.startswith("#"))
    text = "\n".join(lines).replace("\\\n", " ")
    for line in filter(None, (line.strip() for line in text.splitlines())):
        keyword, _, rest = line.partition(" ")
        assert keyword in KEYWORDS, f"{path.name}: {keyword}"
        yield keyword, " ".join(rest.split())


@dataclass
class Root:
    """A folder that is the root of a small machine, and what a Dockerfile has set in it so far."""

    folder: Path
    context: Path
    """What COPY copies from."""
    host: Mapping[str, str] = field(default_factory=dict)
    """Environment that this machine's network asks for."""
    env: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    user: str = "0"
    workdir: str = "/"

    def build(self, dockerfile: Path) -> None:
        """Carry out a Dockerfile on top of what is there."""
        arguments: dict[str, str] = {}
        for keyword, rest in read_dockerfile(dockerfile):
            text = string.Template(rest).safe_substitute(self.env | arguments)
            if keyword == "ARG":
                name, _, value = text.partition("=")
                arguments[name] = value
            elif keyword == "ENV":
                self.env |= dict(word.split("=", 1) for word in shlex.split(text))
            elif keyword == "COPY" and not text.startswith("--from="):
                self._copy(*text.split())
            elif keyword == "RUN":
                self.run(text)
            elif keyword == "WORKDIR":
                self.workdir = text
                (self.folder / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif keyword == "USER":
                self.user = text

    def run(self, command: str, user: str | None = None) -> str:
        """What a shell command prints, run as the user; an error shows its whole output."""
        account = user or self.user
        home = "/root" if account == "0" else "/home/earsight"
        inside = f"cd {shlex.quote(self.workdir)} && {command}"
        done = subprocess.run(
            [_CHROOT, f"--userspec={account}:{account}", str(self.folder), "/bin/sh", "-c", inside],
            env={**self.host, **self.env, "HOME": home},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
        return done.stdout

    def _copy(self, *words: str) -> None:
        *sources, target = words
        place = self.folder / target.lstrip("/")
        for name in sources:
            source = self.context / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, place, dirs_exist_ok=True, ignore=ignored)
            elif target.endswith("/"):
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, place)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, place)
