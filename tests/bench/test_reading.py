"""`make bench`: ten-second clips of log-mel read for a training, before and after, in one run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.jobs.pack.pack import finish, pack, plan
from pipelines.store.feature_store import FeatureStore
from schemas import Recipe, read_store_manifest
from tests.bench.machine import describe
from tests.places import BENCHMARKS, ROOT
from tests.stores.tagging import write_tagging_store
from tests.stores.writer import RECIPE

CLIPS, CLIPS_A_FILE, BUFFER, BATCH = 2048, 16, 512, 64
BEFORE = "b46095c"
"""Commit whose reader is the one before: whole files, lists, float32."""
GOAL = 5_000
SHARD_BYTES = 128 * 2**20
DISKS = {
    "network disk, 250 MB/s, 2 ms": (250e6, 2e-3),
    "network disk, 1,200 MB/s, 1 ms": (1200e6, 1e-3),
    "bucket, 80 MB/s a request, 50 ms": (80e6, 50e-3),
}
"""Bytes a second of one reader, and seconds until its first byte; assumptions, not measured."""


def measure(store: Path, workers: int, tree: Path = ROOT) -> dict[str, float]:
    """Read an epoch in a process of its own, twice; the second time counts."""
    words = (ROOT / "tests/bench/read_epoch.py", store, workers, BUFFER, BATCH)
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, *map(str, words)], cwd=tree, env=environment, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def packed(store: Path, target: Path) -> Path:
    """Return a copy of a store in shards."""
    shutil.copytree(store, target)
    recipe = Recipe.from_json(read_store_manifest(target).data["recipe"])
    shards = FeatureStore(str(target), recipe)
    for shard in plan(shards, SHARD_BYTES):
        pack(shards, shard)
    finish(shards, keep_parts=False)
    return target


def from_disk(store: Path, core_rate: float, bandwidth: float, latency: float) -> float:
    """Return clips per second of two readers that each wait for a row group, then decode it.

    A reader's seconds per row group: first byte, bytes over bandwidth, clips over `core_rate`.
    """
    path = next(read_store_manifest(store).root.glob("snippets/*.parquet"))
    held = pq.ParquetFile(path).metadata
    size = held.row_group(0).total_byte_size
    clips = held.row_group(0).num_rows / 10
    return round(2 * clips / (latency + size / bandwidth + clips / core_rate), 1)


def ratios_of(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return by layout how many times as fast float16 is read as float32 was before."""
    return {
        layout: {
            name: round(found[f"after: float16, {layout}"][name] / before[name], 2)
            for name in before
        }
        for label, before in found.items()
        if label.startswith("before") and (layout := label.split(", ", 1)[1])
    }


@pytest.mark.bench
def test_reading_before_and_after(tmp_path: Path) -> None:
    old = tmp_path / "before"
    subprocess.run(["git", "worktree", "add", "--detach", old, BEFORE], cwd=ROOT, check=True)
    found: dict[str, Any] = {}
    try:
        for kind in ("float32", "float16"):
            small = write_tagging_store(
                tmp_path / kind, train=CLIPS, val=0, test=0, seconds=10, features=("logmel",),
                parts=CLIPS // CLIPS_A_FILE, recipe=RECIPE.with_(logmel_type=kind),
            )  # fmt: skip
            shards = packed(small, tmp_path / f"{kind}-packed")
            for name, store in (("small files", small), ("packed", shards)):
                for workers in (0, 2):
                    label = f"{kind}, {name}, {workers} processes"
                    if kind == "float32":
                        found[f"before: {label}"] = measure(store, workers, old)
                    found[f"after: {label}"] = measure(store, workers)
            shutil.rmtree(small)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", old], cwd=ROOT, check=True)
    ratios = ratios_of(found)
    rates = [one["clips_a_core_second"] for name, one in found.items() if "after: float16" in name]
    report = {
        "what": f"{CLIPS} clips of ten seconds of log-mel, files of {CLIPS_A_FILE} clips or "
        f"shards, buffers of {BUFFER}, batches of {BATCH}, page cache warm; clips_a_core_second "
        "counts processor time, which other programs of the machine change less",
        "machine": describe(),
        "before_commit": BEFORE,
        **found,
        "ratio_of_float16_after_to_float32_before": ratios,
        "goal": GOAL,
        "two_free_cores_would_give": round(2 * max(rates), 1),
        "model": {
            name: from_disk(tmp_path / "float16-packed", max(rates), *disk)
            for name, disk in DISKS.items()
        },
    }
    (BENCHMARKS / "reading.json").write_text(json.dumps(report, indent=1) + "\n")
    assert all(ratio["clips_a_core_second"] > 2 for ratio in ratios.values())
