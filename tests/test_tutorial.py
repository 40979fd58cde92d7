"""The tutorial's commands, one after the other as they are printed, on films of its kind."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.places import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
SPLITS = {"train": range(3), "val": range(3, 5), "test": range(8, 10)}
SOURCES = {
    "rain": ("mandelbrot=size=64x48", "anoisesrc=color=pink:amplitude=0.4:seed={}"),
    "whistle": ("testsrc2=size=64x48", "sine=frequency=7{}0"),
}
"""ffmpeg's picture and sound of each label."""


def commands() -> list[list[str]]:
    """The commands that stand in a block of their own."""
    blocks = re.findall(r"^```\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("beam ", "python "))]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for split, numbers in SPLITS.items():
        for label, (picture, sound) in SOURCES.items():
            for number in numbers:
                film = tmp_path / "clips" / split / label / f"{label}{number}.mp4"
                film.parent.mkdir(parents=True, exist_ok=True)
                inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound.format(number)]
                command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, "-t", "2"]
                subprocess.run([*command, film], check=True)
    return tmp_path


def test_commands_of_the_tutorial_lead_to_tags_of_new_files(clips: Path) -> None:
    assert [words[1] for words in commands()] == [
        "run", "validate", "report", "models/train.py", "models/predict.py"
    ]  # fmt: skip
    said = ""
    for words in commands():
        if "--epochs" in words:
            words[words.index("--epochs") + 1] = "1"
        program = [sys.executable, "-m", "pipelines"]
        if words[0] == "python":
            program = [sys.executable, str(ROOT / words.pop(1))]
        done = subprocess.run(
            [*program, *words[1:]], cwd=clips, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
        said += done.stdout
    assert "14 (14 in this run)" in said
    assert "clean; 14 clips in" in said
    assert (clips / "out/mine/report.html").is_file()
    assert (clips / "runs/fayek_audio-1/report.html").is_file()
    assert len((clips / "predictions/tags.csv").read_text().splitlines()) == 1 + 4 * len(SOURCES)
