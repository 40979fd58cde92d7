"""What fsync and sha256 cost: commits of units of 16 clips, with and without."""

import json
import os
import statistics
import time
from hashlib import sha256
from pathlib import Path

import pytest

from pipelines.store.feature_store import FeatureStore
from tests.bench.machine import describe
from tests.places import BENCHMARKS
from tests.stores.units import add_units

COMMITS = 12
FEATURES = ("vggish", "resnet152", "r2plus1d", "logmel")


def commit_seconds(out: Path, first: int) -> float:
    """Return the seconds that the parts of one unit of 16 clips take."""
    add_units(out, units=1, first=first, clips=16, features=FEATURES, boxes=100)
    receipts = list(FeatureStore(str(out)).receipts())
    return max(receipts, key=lambda receipt: receipt.done).seconds["write"]


@pytest.mark.bench
def test_cost_of_durability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine, seconds = describe(), {True: list[float](), False: list[float]()}
    for number in range(2 * COMMITS):
        durable = number % 2 == 0
        with monkeypatch.context() as patch:
            if not durable:
                patch.setattr(os, "fsync", lambda descriptor: None)
            seconds[durable].append(commit_seconds(tmp_path / str(durable), number))
    (part, *_) = sorted((tmp_path / "True" / "snippets").iterdir())
    data = part.read_bytes()
    started = time.perf_counter()
    sha256(data).hexdigest()
    hashed = time.perf_counter() - started
    with_fsync, without = (statistics.median(seconds[durable]) for durable in (True, False))
    clip_s = json.loads((BENCHMARKS / "extract.json").read_text())["every_extractor"]["bf16"][
        "total"
    ]
    report = {
        "what": "seconds to write the parts of a unit of 16 clips; medians, by turns",
        "machine": machine,
        "commits": COMMITS,
        "with_fsync": round(with_fsync, 4),
        "without_fsync": round(without, 4),
        "sha256_mb_per_s": round(len(data) / hashed / 1e6),
        "share_of_a_unit_of_16_clips": round((with_fsync - without) / (16 * clip_s), 5),
    }
    (BENCHMARKS / "durability.json").write_text(json.dumps(report, indent=1) + "\n")
    assert with_fsync > 0
