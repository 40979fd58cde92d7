"""Bad input gets one sentence on stderr and a status, and leaves nothing half-written."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.store.locking import locked
from tests.complaints import sentence
from tests.pipelines.conftest import Beam

FOLDER = ("run", "features", "--dataset", "folder", "--weights", "seeded", "--extractors", "logmel")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "features", "--dataset", "lpl"), "unknown data set 'lpl'; did you mean 'llp'"),
        (("run", "features", "--extractors", "vgish"), "did you mean 'vggish'"),
        (("run", "features", "--datset", "llp"), "--datset; did you mean --dataset"),
        (("run", "features", "--recipe", "clen"), "unknown recipe 'clen'; did you mean 'clean'"),
        (("run", "features", "--runner", "DaskRunner"), "loses data"),
        (("run", "features", "--runner", "FlnkRunner"), "did you mean 'FlinkRunner'"),
        (("run", "features", "--num_wrkers", "2"), "did you mean --num_workers"),
        (("run", "features", "--runner", "daskrunner"), "loses data"),
        (("run", "features", "--runner", "dask"), "loses data"),
        (
            ("run", "features", "--runner", "apache_beam.runners.dask.dask_runner.DaskRunner"),
            "loses data",
        ),
        (("run", "features", "--runner", "InteractiveRunner"), "cannot be used here"),
        (("run", "features", "--runner", "os.getcwd"), "unknown runner 'os.getcwd'"),
        (("run", "features", "--runner", "os.path.join"), "unknown runner 'os.path.join'"),
        (("run", "features", "--direct_num_workers", "x"), "invalid int value: 'x'"),
        (("run", "features", "--clip-timeout", "nan"), "--clip-timeout is nan"),
        (("run", "features", "--dataset", "llp", "--seed", "3"), "--seed is of the demo world"),
        (("run", "features", "--out", "pyproject.toml"), "pyproject.toml is a file"),
        (("run", "features", "--dataset", "folder", "--media", "x9://y"), "cannot be reached"),
        (("plan", "--annotations", "nowhere", "--dataset", "llp"), "nowhere"),
        (("check", "--weights-dir", "nowhere"), "nowhere is not a folder"),
        (("run", "features", "--precision", "bf17"), "invalid choice 'bf17'"),
        (("run", "features", "--limit", "x"), "--limit"),
        (("validate",), "The folder with manifest.json"),
        (("run", "features", "--unit-size", "0"), "--unit-size is 0; it must be at least 1"),
        (("run", "features", "--weights", "sedeed"), "allowed are pretrained, seeded"),
        (("run", "features", "--retry", "nework"), "did you mean 'network'"),
        (("run", "features", "--device", "cuda:7"), "cuda:7"),
        (("run", "features", "--dataset", "llp"), "needs --media"),
        (("run", "featurs"), "unknown job 'featurs'; did you mean 'features'"),
        (("validat", "x"), "unknown command 'validat'; did you mean 'validate'"),
        (("recipes", "nowhere"), "nowhere holds no store.json"),
        (("validate", "nowhere"), "holds no manifest.json"),
        (("validate", "nowhere", "--fix"), "unknown option --fix"),
    ],
)
def test_wrong_words(beam: Beam, words: tuple[str, ...], said: str) -> None:
    assert said in sentence(beam(*words), 2)


def test_media_folder_without_a_match(
    beam: Beam, shared: Path, media: Path, tmp_path: Path
) -> None:
    done = beam(
        "run", "features", "--dataset", "llp", "--annotations", shared / "annotations/llp",
        "--media", media, "--out", tmp_path / "out", "--weights", "seeded",
    )  # fmt: skip
    assert "none is a clip of llp" in sentence(done, 2)
    assert not (tmp_path / "out").exists()


def test_unreadable_manifest_line(beam: Beam, media: Path, shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "llp"
    shutil.copytree(shared / "annotations/llp", folder)
    with (folder / "AVVP_test_pd.csv").open("a") as file:
        file.write("this line has no tab\n")
    done = beam(
        "run", "features", "--dataset", "llp", "--annotations", folder, "--media", media,
        "--out", tmp_path / "out", "--weights", "seeded",
    )  # fmt: skip
    line = sentence(done, 2)
    assert "AVVP_test_pd.csv" in line
    assert "1202" in line
    assert not (tmp_path / "out").exists()


def test_other_recipe(beam: Beam, media: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert beam(*FOLDER, "--media", media, "--out", out).returncode == 0
    manifest = (out / "manifest.json").read_bytes()
    line = sentence(beam(*FOLDER, "--media", media, "--out", out, "--proposals", "5"), 2)
    assert "proposals_per_snippet 10 (now 5)" in line
    assert (out / "manifest.json").read_bytes() == manifest


def test_missing_weights(beam: Beam, media: Path, tmp_path: Path) -> None:
    words = ("run", "features", "--dataset", "folder", "--media", media, "--out", tmp_path / "out")
    done = beam(*words, env={"XDG_CACHE_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"})
    line = sentence(done, 2)
    assert ".pth" in line or "vggish" in line
    assert str(tmp_path / "earsight" / "weights") in line
    assert not (tmp_path / "out").exists()


def test_wrong_hash_of_weights(beam: Beam, media: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "resnet152-394f9c45.pth").write_bytes(b"not weights")
    done = beam(
        "run", "features", "--dataset", "folder", "--media", media, "--out", tmp_path / "out",
        "--weights-dir", weights, "--extractors", "resnet152",
    )  # fmt: skip
    assert "has sha256" in sentence(done, 2)


def test_out_that_cannot_be_written(beam: Beam, media: Path) -> None:
    assert "cannot write" in sentence(beam(*FOLDER, "--media", media, "--out", "/proc/x"), 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def promise_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every disk report room that it has not, as one does that others fill meanwhile."""
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2**30))


def test_disk_without_room_is_refused(beam: Beam, media: Path, small_disk: Path) -> None:
    line = sentence(beam(*FOLDER, "--media", media, "--out", small_disk / "out"), 1)
    assert "MB are free" in line


def test_disk_that_fills_up(
    beam: Beam, media: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise_room(monkeypatch)
    for index in range(6):
        shutil.copy(media / "a.mp4", media / f"b{index}.mp4")
    words = (*FOLDER, "--media", media, "--out", small_disk / "out", "--unit-size", "1")
    (small_disk / "filler").write_bytes(b"x" * 950_000)
    line = sentence(beam(*words), 1)
    assert "cannot write" in line
    assert "No space left" in line
    assert not (small_disk / "out/manifest.json").exists()
    (small_disk / "filler").unlink()
    done = beam(*words)
    assert done.returncode == 0, done.stderr[-800:]
    assert beam("validate", small_disk / "out").returncode == 0


def test_disk_that_fills_up_in_a_download(
    beam: Beam, media: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise_room(monkeypatch)
    words = ["run", "download", "--dataset", "folder", "--source", media, "--parallel", 1]
    words += ["--media", small_disk / "media", "--state", small_disk / "state"]
    (small_disk / "filler").write_bytes(b"x" * 1_000_000)
    line = sentence(beam(*words), 1)
    assert "cannot write" in line
    assert "No space left" in line
    assert not (small_disk / "media/manifest.json").exists()
    (small_disk / "filler").unlink()
    done = beam(*words)
    assert done.returncode == 0, done.stderr[-800:]
    assert beam("validate", small_disk / "media").returncode == 0


def test_read_only_disk(beam: Beam, media: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    line = sentence(beam(*FOLDER, "--media", media, "--out", small_disk / "out"), 1)
    assert "Read-only file system" in line


def test_two_jobs_on_one_out(beam: Beam, media: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert beam(*FOLDER, "--media", media, "--out", out).returncode == 0
    with locked(str(out)):
        line = sentence(beam(*FOLDER, "--media", media, "--out", out), 2)
    assert "another job is writing" in line
