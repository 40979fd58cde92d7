"""Commands are printed as one can type them from where one is."""

import sys
from pathlib import Path

import pytest

from schemas.machine import programs
from schemas.machine.programs import command, has_trainer
from tests.places import ROOT


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment with `python` and `beam` whose folder the shell does not search."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "beam"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.chdir(tmp_path)
    return folder


def test_programs_of_an_active_environment_have_their_bare_names(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(environment))
    assert command("beam", "run", 3) == "beam run 3"
    assert command("python", "-m", "x y") == "python -m 'x y'"


def test_programs_of_another_environment_have_their_paths(
    environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert command("beam", "validate") == "env/bin/beam validate"
    monkeypatch.chdir(environment)
    assert command("beam") == "beam"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert command("beam") == str(environment / "beam")


def test_program_that_another_environment_has_is_not_taken_for_ours(
    environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "beam").write_text("#!/bin/sh\n")
    (other / "beam").chmod(0o755)
    assert command("beam") == "env/bin/beam"


def test_beam_that_was_not_installed_is_run_as_a_module(environment: Path) -> None:
    (environment / "beam").unlink()
    assert command("beam", "plan") == "env/bin/python -m pipelines plan"


def test_files_of_models_are_run_by_python(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = f"env/bin/python {ROOT / 'models/train.py'} han"
    assert command("models/train.py", "han") == shown
    monkeypatch.chdir(ROOT)
    assert command("models/train.py") == f"{environment / 'python'} models/train.py"


def test_trainer_is_known_by_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert has_trainer()
    monkeypatch.setattr(programs, "_ROOT", tmp_path)
    assert has_trainer() is False
