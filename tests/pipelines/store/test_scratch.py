"""Scratch folders of killed jobs are removed, those of running ones stay."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.store.scratch import make_scratch_folder, sweep_scratch_folders


def test_only_folders_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"earsight-{dead.pid}-abc"
    (left / "inner").mkdir(parents=True)
    others = tmp_path / "earsight-notes"
    others.mkdir()
    ours = make_scratch_folder("earsight-", str(tmp_path))
    sweep_scratch_folders("earsight-", str(tmp_path))
    assert sorted(tmp_path.iterdir()) == sorted([ours, others])


def test_temporary_folder_of_the_system_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = make_scratch_folder("earsight-")
    assert folder.parent == tmp_path
    folder.rename(tmp_path / "earsight-99999999-abc")  # no process has this number
    sweep_scratch_folders("earsight-")
    assert not list(tmp_path.iterdir())
