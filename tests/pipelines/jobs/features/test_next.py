"""What a summary says to do next works as printed, for this very store."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.machine import programs
from tests.pipelines.conftest import Beam, make_clip
from tests.places import ROOT

LABELS = "file,labels,split\na.mp4,cat,train\nb.mp4,dog,train\nc.mp4,cat,test\nd.mp4,dog,test\n"


def commands(screen: str) -> list[str]:
    return re.findall(r"^  (\S.*)$", screen[screen.index("Next:") :], re.MULTILINE)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder with $signs") / "media"
    folder.mkdir()
    for name in "abcd":
        make_clip(folder / f"{name}.mp4", 2.0)
    return folder


def summary(beam: Beam, media: Path, *more: str) -> str:
    words = ("--dataset", "folder", "--extractors", "logmel", "--weights", "seeded", *more)
    done = beam("run", "features", *words, "--media", media, "--out", media.parent / "my store")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_store_without_labels_is_trained_by_nothing(
    beam: Beam, media: Path, tmp_path: Path
) -> None:
    done = beam(
        "run", "features", "--dataset", "folder", "--extractors", "logmel", "--weights", "seeded",
        "--media", media, "--out", tmp_path / "out",
    )  # fmt: skip
    said = commands(done.stdout)
    assert [word for line in said for word in ("validate", "report", "train.py") if word in line] \
        == ["validate", "report"]  # fmt: skip


def test_printed_commands_work_with_the_environment_not_active(
    beam: Beam, media: Path, tmp_path: Path
) -> None:
    (media / "labels.csv").write_text(LABELS)
    said = commands(summary(beam, media))
    assert any("models/train.py fayek_audio --features" in line for line in said)
    bare = {
        name: value for name, value in os.environ.items()
        if name not in ("PATH", "PYTHONPATH", "VIRTUAL_ENV")
    }  # fmt: skip
    for line in said:
        brief = f" --epochs 1 --run {tmp_path}/run" if "train.py" in line else ""
        done = subprocess.run(
            ["/bin/sh", "-c", line + brief], cwd=Path.cwd(), capture_output=True, text=True,
            env={**bare, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stderr)
        if "train.py" in line:
            again = re.search(r"Score it again: (.*)$", done.stdout, re.MULTILINE)
            assert again is not None
            assert again[1].endswith(f"models/evaluate.py --run {tmp_path}/run")
    assert (media.parent / "my store/report.html").is_file()


def test_programs_are_bare_only_where_the_shell_finds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{here}:/usr/bin")
    assert programs.command("python", "-c", "x y") == "python -c 'x y'"
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(here.parent)
    assert programs.command("python") == f"{here.name}/python"
    monkeypatch.chdir(ROOT)
    assert programs.command("models/train.py", "han").endswith("python models/train.py han")
    monkeypatch.chdir(tmp_path)
    assert programs.command("models/train.py").endswith(f"python {ROOT}/models/train.py")
