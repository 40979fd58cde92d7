"""What the files under docker/ promise, as far as reading them can tell."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pipelines.jobs.download import command as download_command
from pipelines.jobs.features import command as features_command
from pipelines.runners.beam_options import check_rest
from tests.docker.dockerfile import read_dockerfile
from tests.places import ROOT

DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
SCRIPTS = sorted((ROOT / "docker").glob("*.sh"))
VERSION = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_linter_finds_nothing(path: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_every_foreign_image_is_pinned(path: Path) -> None:
    text = path.read_text()
    images = re.findall(r"^FROM (\S+)|--from=(\S+)|^ARG (?:DEBIAN|BASE|WORKER)=(\S+)", text, re.M)
    names = [name for found in images for name in found if name and "$" not in name]
    assert names
    for name in names:
        assert re.search(r":[\w.-]*\d[\w.-]*$", name), name
        if name.startswith("earsight"):
            assert VERSION is not None
            assert name.endswith(f":{VERSION[1]}")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_what_is_copied_is_in_the_context(path: Path) -> None:
    kept = (ROOT / ".dockerignore").read_text().split()
    for keyword, rest in read_dockerfile(path):
        if keyword == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source.split('/')[0]}" in kept, source


def test_beam_of_the_images_is_beam_of_the_lock() -> None:
    locked = re.search(r"^apache-beam==(\S+)", (ROOT / "requirements.lock").read_text(), re.M)
    assert locked is not None
    for path in ROOT.glob("docker/worker*.Dockerfile"):
        assert f"apache/beam_python3.11_sdk:{locked[1]} " in path.read_text()


def test_workers_differ_in_weights_and_settings_only() -> None:
    steps = [
        [step for step in read_dockerfile(ROOT / f"docker/{name}.Dockerfile") if step[0] != "ENV"]
        for name in ("worker", "worker-cpu")
    ]
    differing = [(gpu, cpu) for gpu, cpu in zip(*steps, strict=True) if gpu != cpu]
    assert differing == [(("ARG", "WEIGHTS=bake"), ("ARG", "WEIGHTS=none"))]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_stop_at_the_first_error(path: Path) -> None:
    assert "\nset -eu\n" in path.read_text()
    subprocess.run(["sh", "-n", str(path)], check=True)
    assert path.stat().st_mode & 0o111


@pytest.mark.parametrize("name", ["base", "trainer", "worker", "worker-cpu"])
def test_images_are_not_root_unless_they_are_built_so(name: str) -> None:
    steps = list(read_dockerfile(ROOT / f"docker/{name}.Dockerfile"))
    defaults = dict(rest.split("=", 1) for keyword, rest in steps if keyword == "ARG")
    last = [rest for keyword, rest in steps if keyword == "USER"][-1]
    assert defaults.get(last.strip("${}"), last) == "1000"


@pytest.mark.parametrize(
    "name",
    ["requirements.lock", "requirements-dev.lock", "requirements-setup.lock", "docker/tools.lock"],
)
def test_every_locked_package_has_hashes_and_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.-]+==\S+ \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+$", entry), entry


def test_packages_are_installed_by_their_hashes() -> None:
    installers = [*SCRIPTS, ROOT / "Makefile"]
    lines = [
        line
        for path in installers
        for line in path.read_text().replace("\\\n", " ").splitlines()
        if "pip install" in line and (" -r " in line or "INSTALL" in line)
    ]
    assert len(lines) == 4
    assert all("--require-hashes" in line for line in lines)


def test_parameters_of_the_template_are_options() -> None:
    names = {one["name"] for one in metadata()["parameters"]} - {"job"}
    ours = {*features_command.Options.__dataclass_fields__}
    ours |= {*download_command.Options.__dataclass_fields__}
    check_rest([f"--{name}=x" for name in names - ours])


def metadata() -> dict[str, list[dict[str, str]]]:
    content: dict[str, list[dict[str, str]]] = json.loads(
        (ROOT / "docker/template.json").read_text()
    )
    return content


def test_template_runs_the_job_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    template = load(ROOT / "docker/template.py")
    given: list[list[str]] = []
    monkeypatch.setattr(template, "main", given.append)
    template.launch(["--preset=dataflow-cpu", "--job=download", "--dataset=llp"])
    assert given == [["run", "download", "--preset=dataflow-cpu", "--dataset=llp"]]


def load(path: Path) -> ModuleType:
    """A Python file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
