"""What a clip costs in a job of 100 and of 1,000 clips, and whether memory stays flat.

Processor time of the whole job, so that other work on the machine does not show; log-mel alone, so
that nothing hides what the job itself costs: planning, decoding, rows, parts, receipts, manifest.
"""

import json
import os
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.demo import DemoOptions, demo_folder, generate
from tests.places import BENCHMARKS

DOCS = BENCHMARKS
SIZES = (10, 100, 1000)


@pytest.mark.bench
def test_cost_of_a_clip_does_not_grow(tmp_path: Path) -> None:
    options = DemoOptions(clips=100)
    clips = sorted(generate(options, demo_folder(options)).glob("*.mp4"))
    seconds, memory = [], []
    for size in SIZES:
        folder = tmp_path / f"media{size}"
        folder.mkdir()
        for number in range(size):
            source = clips[number % len(clips)]
            (folder / f"clip{number:05d}_0_10.mp4").symlink_to(source)
        spent, peak = job(folder, tmp_path / f"out{size}")
        seconds.append(spent)
        memory.append(peak)
    steps = zip(pairwise(seconds), pairwise(SIZES), strict=True)
    each = [(t1 - t0) / (n1 - n0) for (t0, t1), (n0, n1) in steps]
    report = {
        "what": "jobs of 10, 100 and 1,000 demo clips, log-mel only",
        "processor_seconds": [round(one, 1) for one in seconds],
        "processor_seconds_per_clip": {
            "10 to 100": round(each[0], 4), "100 to 1000": round(each[1], 4)
        },
        "ratio": round(each[1] / each[0], 3),
        "peak_memory_mb": memory,
    }  # fmt: skip
    (DOCS / "scale.json").write_text(json.dumps(report, indent=1) + "\n")
    assert memory[2] < 1.2 * memory[1]


def job(media: Path, out: Path) -> tuple[float, int]:
    """Processor seconds of one features job, and the largest memory of a process so far in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", "features", "--dataset", "folder", "--media",
         str(media), "--weights", "seeded", "--extractors", "logmel", "--out", str(out)],
        check=False, capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, after.ru_maxrss // 1024
