"""What the product imports, it installs: nothing in it needs the packages of its developers."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.pipelines.conftest import make_clip
from tests.places import ROOT
from tests.stores.parsing import ParsingRows

PACKAGES = ("schemas", "extractors", "models", "pipelines")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()


def name_of(requirement: str) -> str:
    """Return the distribution that a requirement names."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


DECLARED = {name_of(requirement) for requirement in PROJECT["dependencies"]}
EXTRAS = {
    "extractors/nets/contrastive.py": {"transformers"},
    "pipelines/jobs/download/fetch/site/impersonation.py": {"curl_cffi"},
    "models/training/trackers.py": {"tensorboardX", "wandb", "mlflow"},
    "models/applications/export/file.py": {"onnx", "onnxruntime"},
    "models/sweep/study.py": {"optuna", "sqlalchemy"},
}
"""Modules of extras, imported where they are asked for; without them there is one sentence."""
DEVELOPERS = {name_of(line) for line in PROJECT["optional-dependencies"]["dev"]} - DECLARED
DISTRIBUTIONS = {
    module: {name.lower().replace("_", "-") for name in names}
    for module, names in packages_distributions().items()
}
"""Modules and the distributions that hold them."""
BLOCKED = sorted(module for module, names in DISTRIBUTIONS.items() if names & DEVELOPERS)
"""Modules that are not there where the product alone is installed."""


def imported(code: str) -> Iterator[str]:
    """Yield the top package of every absolute import, also of those in functions."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def undeclared(code: str) -> set[str]:
    """Return the packages that code imports and the project does not install."""
    ours = {*PACKAGES, *sys.stdlib_module_names, "google"}  # google comes with apache-beam[gcp]
    others = {module for module in imported(code) if module not in ours}
    return {module for module in others if not DISTRIBUTIONS.get(module, {module}) & DECLARED}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_import_is_a_dependency(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / package).rglob("*.py")
        if (found := undeclared(path.read_text()))
    }
    assert {path: found - EXTRAS.get(path, set()) for path, found in wrong.items()} == {
        path: set() for path in wrong
    }


def readme_commands() -> list[list[str]]:
    """Return the words of every python and beam command in the README."""
    lines = re.findall(r"^\s*(?:\.venv/bin/)?((?:python|beam) .*)$", README, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_code_in_the_readme_imports_dependencies_alone() -> None:
    codes = [words[2] for words in readme_commands() if words[:2] == ["python", "-c"]]
    assert codes
    for code in codes:
        assert undeclared(code) == set()


def test_commands_of_the_readmes_first_screen_run_without_the_developers_packages(
    tmp_path: Path,
) -> None:
    assert {"pandas", "polars", "duckdb", "datasets"} <= set(BLOCKED)
    screen = README.partition("## Your own data")[0]
    assert "beam validate out/demo" in screen
    assert "models/train.py han --features out/demo" in screen
    (code,) = re.findall(r'python -c "(.*)"', screen)
    ParsingRows().write(tmp_path / "out" / "demo")
    (tmp_path / "media").mkdir()
    make_clip(tmp_path / "media" / "clip.mp4", 1.0)
    program = f"""
import sys
from importlib.machinery import PathFinder
class Installed(PathFinder):
    @classmethod
    def find_spec(cls, name, *rest):
        return None if name in {BLOCKED!r} else super().find_spec(name, *rest)
sys.meta_path[sys.meta_path.index(PathFinder)] = Installed
from pipelines.cli import main as beam
job = ["run", "features", "--dataset", "folder", "--media", "media", "--out", "mine"]
assert beam([*job, "--extractors", "logmel"]) == 0
beam(["validate", "out/demo"])
assert beam(["report", "out/demo"]) == 0
from models import train
train.main(["han", "--features", "out/demo", "--epochs", "1", "--run", "run"])
{code}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'clip_key': 'train00_0_10'" in done.stdout
    assert (tmp_path / "run" / "results.json").is_file()
