"""The version names the commit that the program was made from."""

import importlib.metadata
import subprocess
from pathlib import Path

import pytest

from schemas.machine import version
from schemas.machine.version import find_commit, version_line


def test_commit_of_a_checkout_is_that_of_its_head(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=m@n"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert find_commit(tmp_path) is None  # nothing is committed yet
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    asked = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout
    assert find_commit(tmp_path) == asked[:12]


def test_commit_of_a_package_is_the_one_that_was_written_into_it(tmp_path: Path) -> None:
    assert find_commit(tmp_path) is None
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "commit.txt").write_text("0123456789abcdef\n")
    assert find_commit(tmp_path) == "0123456789ab"


@pytest.mark.parametrize("error", [OSError(), subprocess.TimeoutExpired("git", 10)])
def test_without_git_there_is_no_commit(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(subprocess, "run", fail)
    assert find_commit(tmp_path) is None


def test_line_names_release_and_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    release = importlib.metadata.version("earsight")
    monkeypatch.setattr(version, "find_commit", lambda: "4177a3d0c1f2")
    assert version_line() == f"earsight {release} (commit 4177a3d0c1f2)"
    monkeypatch.setattr(version, "find_commit", lambda: None)
    assert version_line() == f"earsight {release} (commit unknown)"
