"""The images' install steps in a clean Debian root: what nobody installs shows as missing.

There is no container engine in this test: debootstrap makes the root, and the instructions of the
Dockerfiles are carried out in it with chroot. It takes minutes, gigabytes and root's rights.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.dockerfile import Root
from tests.places import ROOT

pytestmark = pytest.mark.images
HOST_NETWORK = ("PIP_", "HTTP", "http", "NO_PROXY", "no_proxy", "SSL_", "REQUESTS_")
"""Beginnings of variables by which this machine's tools find the network."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("a clean root needs root's rights and debootstrap")
    folder = tmp_path_factory.mktemp("clean") / "root"
    command = ["debootstrap", "--variant=minbase", "bookworm", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    host = _carry_network(folder)
    proc = folder / "proc"
    subprocess.run(["mount", "-t", "proc", "proc", str(proc)], check=True)
    try:
        yield Root(folder, ROOT, host)
    finally:
        subprocess.run(["umount", str(proc)], check=True)
        shutil.rmtree(folder)


def _carry_network(folder: Path) -> dict[str, str]:
    """This machine's way to the network, which is no part of the images: files, and variables."""
    for place in (Path("/etc/pip.conf"), Path("/etc/resolv.conf")):
        if place.exists():
            shutil.copy(place, folder / place.relative_to("/"))
    for place in Path("/etc/apt/apt.conf.d").iterdir():
        if "Proxy" in place.read_text():
            shutil.copy(place, folder / "etc/apt/apt.conf.d")
    host = {name: value for name, value in os.environ.items() if name.startswith(HOST_NETWORK)}
    for name, value in host.items():
        if value.startswith("/") and Path(value).exists():  # certificates, a folder of packages
            target = folder / "host" / value.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if Path(value).is_file():
                shutil.copy(value, target)
            elif not target.exists():
                shutil.copytree(value, target)
            host[name] = f"/host{value}"
    return host


@pytest.fixture(scope="module")
def trainer(clean: Root) -> Root:
    """The base image, and the trainer on it."""
    clean.build(ROOT / "docker/base.Dockerfile")
    clean.build(ROOT / "docker/trainer.Dockerfile")
    return clean


@pytest.fixture(scope="module")
def worker(trainer: Root) -> Root:
    """The worker on top of the trainer; they share everything but the entry point."""
    trainer.build(ROOT / "docker/worker-cpu.Dockerfile")
    return trainer


def test_trainer_lists_its_experiments(trainer: Root) -> None:
    assert "han" in trainer.run("python /app/models/train.py --list")


def test_nothing_is_left_of_the_installation(trainer: Root) -> None:
    assert not list((trainer.folder / "var/lib/apt/lists").glob("*Packages*"))
    assert not (trainer.folder / "root/.cache/pip").exists()


def test_worker_has_what_jobs_need(worker: Root) -> None:
    found = worker.run("beam check --out /tmp", user="1000")
    assert "bad" not in found
    assert "ffmpeg" in found
    assert "deno" in found
    assert "beam run features" in worker.run("beam --help")


def test_worker_makes_features_without_being_root(worker: Root) -> None:
    job = "beam run features --dataset demo --clips 2 --extractors logmel --out /tmp/out"
    printed = worker.run(f"cd /tmp && {job}", user="1000")
    assert "2 (2 in this run)" in printed
    assert "clean" in worker.run("beam validate /tmp/out", user="1000")
