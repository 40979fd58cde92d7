"""Two worker processes against one: the download job, where cutting costs, and the features job.

Seconds of the whole command, and seconds at work, without the start of the processes.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.demo import DemoOptions, demo_folder, generate
from tests.bench.machine import describe, second_process
from tests.pipelines.jobs.download.conftest import make_film, write_clips
from tests.pipelines.jobs.download.server import serving
from tests.places import ROOT
from tests.stores.compare import same_rows

DOCS = ROOT / "docs" / "benchmarks"
VIDEOS, CLIPS = 48, 16
TWO = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module", autouse=True)
def machine() -> None:
    """The head of the file."""
    note("machine", {**describe(), "two_processes_of_matrix_products": second_process()})


def note(name: str, found: dict[str, Any]) -> None:
    """Put one part into the benchmark file."""
    path = DOCS / "engines.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**report, name: found}, indent=1) + "\n")


def seconds(*words: object) -> float:
    """How long `beam run` takes, from its start to its summary."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", *map(str, words)],
        cwd=ROOT, check=False, capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    return round(time.perf_counter() - started, 1)


def compare(name: str, clips: int, work: str, taken: list[float], at_work: list[float]) -> float:
    """Write what one and two processes took; how many times faster two are once at work."""
    faster = round(at_work[0] / at_work[1], 2)
    report = {
        "clips": clips, "work": work,
        "seconds_of_the_command": dict(zip(("one", "two"), taken, strict=True)),
        "seconds_at_work": dict(zip(("one", "two"), at_work, strict=True)),
        "times_faster_at_work": faster,
    }  # fmt: skip
    note(name, report)
    return faster


@pytest.mark.bench
def test_second_process_speeds_the_download_up(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", 20.0, size="640x360")
    names = [f"video{number:05d}" for number in range(VIDEOS)]
    clips = write_clips(tmp_path / "clips", [(name, 5.0, 15.0) for name in names])
    taken, at_work = [], []
    for number, more in enumerate(((), TWO)):
        media = tmp_path / f"media{number}"
        with serving() as site:
            site.files = {f"/{name}.mp4": film for name in names}
            words = (
                "download", "--dataset", "audioset", "--annotations", clips, "--split", "train",
                "--source", f"{site.address}/{{video_id}}.mp4", "--media", media, "--state",
                tmp_path / "state", "--parallel", 1, "--unit-size", 2, *more,
            )  # fmt: skip
            taken.append(seconds(*words))
        files = [path.stat().st_mtime for path in media.glob("*.mp4")]
        assert len(files) == VIDEOS
        at_work.append(round(max(files) - min(one.at for one in site.asked), 1))
    work = "10 s cut out of 20 s, 640x360, one at a time in a process"
    assert compare("download", VIDEOS, work, taken, at_work) >= 1.3


@pytest.mark.bench
def test_second_process_costs_the_features_nothing(tmp_path: Path) -> None:
    options = DemoOptions(clips=CLIPS)
    media = generate(options, demo_folder(options))
    taken, at_work = [], []
    for number, more in enumerate(((), TWO)):
        out = tmp_path / f"out{number}"
        words = (
            "features", "--dataset", "demo", "--clips", CLIPS, "--media", media, "--extractors",
            "vggish,r2plus1d", "--unit-size", 2, "--out", out, *more,
        )  # fmt: skip
        taken.append(seconds(*words))
        at_work.append(working_seconds(out))
    same_rows(tmp_path / "out0", tmp_path / "out1", ("clips", "snippets"))
    assert compare("features", CLIPS, "vggish, r2plus1d", taken, at_work) >= 1


def working_seconds(out: Path) -> float:
    """From the begin of the first unit to the end of the last; the nets' loading not counted."""
    begins, ends = [], []
    for path in out.glob("receipts/*.json"):
        spent = json.loads(path.read_text())["seconds"]
        ends.append(path.stat().st_mtime)
        begins.append(ends[-1] - sum(spent.values()) + spent["decode"])
    return round(max(ends) - min(begins), 1)
