"""`make bench`: two million clips planned: seconds and memory of `beam plan`, bytes of the job."""

import json
import random
import string
import time
from pathlib import Path

import pytest

from tests.bench.machine import describe
from tests.bench.memory import run_beam
from tests.places import BENCHMARKS

LINES = 2_041_789
"""Clips of AudioSet's unbalanced_train."""
LETTERS = string.ascii_letters + string.digits + "-_"


def write_list(folder: Path, classes: Path) -> None:
    """A list as long as AudioSet's, with ids and labels by chance."""
    (folder / classes.name).symlink_to(classes)
    mids = [line.split(",")[1] for line in classes.read_text().splitlines()[1:]]
    dice = random.Random(0)
    with (folder / "unbalanced_train_segments.csv").open("w") as file:
        for _ in range(LINES):
            video = "".join(dice.choices(LETTERS, k=11))
            start = 10 * dice.randrange(50)
            labels = ",".join(dice.sample(mids, dice.randint(1, 4)))
            file.write(f'{video}, {start:.3f}, {start + 10:.3f}, "{labels}"\n')


def media_list(folder: Path, count: int) -> None:
    """Empty files of some of the clips, to be indexed."""
    folder.mkdir()
    with (folder.parent / "unbalanced_train_segments.csv").open() as file:
        for line, _ in zip(file, range(count), strict=False):
            video, start, end = (word.strip() for word in line.split(",")[:3])
            (folder / f"{video}_{float(start):g}_{float(end):g}.mp4").touch()


def plan(*words: str) -> dict[str, float]:
    """Seconds and the largest memory of one `beam plan`."""
    started = time.perf_counter()
    said, peak = run_beam("plan", "--dataset", "audioset", *words)
    assert f"{LINES:,}" in said
    return {"seconds": round(time.perf_counter() - started, 1), "memory_mb": peak}


@pytest.mark.bench
def test_two_million_clips(shared: Path, tmp_path: Path) -> None:
    write_list(tmp_path, shared / "annotations/audioset/class_labels_indices.csv")
    words = ("--annotations", str(tmp_path), "--split", "unbalanced_train", "--workers", "100")
    report = {
        "what": f"beam plan over a list of {LINES:,} clips, written by chance",
        "machine": describe(),
        "without_media": plan(*words),
    }
    media_list(tmp_path / "media", 200_000)
    report["with_a_folder_of_200000_files"] = plan(*words, "--media", str(tmp_path / "media"))
    (BENCHMARKS / "scale_plan.json").write_text(json.dumps(report, indent=1) + "\n")
    for found in (report["without_media"], report["with_a_folder_of_200000_files"]):
        assert isinstance(found, dict)
        assert found["seconds"] < 60
        assert found["memory_mb"] < 2000
