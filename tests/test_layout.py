"""The house: where names resolve, how files are sized, what may import what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40
MOST_MODULES_OF_A_ROOM = 15
PACKAGES = ("schemas", "extractors", "models", "pipelines")


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_this_checkout(package: str) -> None:
    import importlib

    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).parent == ROOT / package


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_files_stay_small(package: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > MOST_LINES_OF_A_FILE
    }
    assert long == {}


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_functions_stay_small(package: str) -> None:
    long = {
        f"{path.relative_to(ROOT)}, {function.name}": lines
        for path in (ROOT / package).rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (function.end_lineno or 0) - function.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_stay_small(package: str) -> None:
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    full = {
        str(folder.relative_to(ROOT)): modules
        for folder in folders
        if (modules := len({*folder.glob("*.py")} - {folder / "__init__.py"}))
        > MOST_MODULES_OF_A_ROOM
    }
    assert full == {}


def test_no_file_of_models_hides_the_standard_library() -> None:
    names = {path.stem for path in (ROOT / "models").glob("*.py")} - {"__init__"}
    assert names & set(sys.stdlib_module_names) == set()


def test_layers_point_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["schemas", "schemas.manifests", "extractors.registry"])
def test_importing_it_is_light(name: str) -> None:
    heavy = "{'torch', 'tensorflow', 'apache_beam', 'cv2', 'librosa'} & set(sys.modules)"
    code = f"import sys, {name}; loaded = {heavy}; assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
