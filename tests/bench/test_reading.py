"""`make bench`: ten-second clips of log-mel read for a training, before and after, in one run."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from models.data.streaming.row_groups import Part, read_part
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
PROCESSES = "ae7d9bb"
"""Commit whose reader of float16 has processes in place of threads."""
GOAL = 5_000
SHARD_BYTES = 128 * 2**20
DISKS = {
    "network disk, 250 MB/s, 2 ms": (250e6, 2e-3),
    "network disk, 1,200 MB/s, 1 ms": (1200e6, 1e-3),
    "bucket, 80 MB/s a request, 50 ms": (80e6, 50e-3),
}
"""Bytes a second of one reader, and seconds until its first byte; assumptions, not measured."""


def decode(paths: Sequence[Path], checked: bool) -> None:
    """Decode the column alone, with the checksums of its pages or without."""
    for path in paths:
        file = pq.ParquetFile(path, page_checksum_verification=checked)
        for group in range(file.num_row_groups):
            file.read_row_group(group, columns=["logmel"], use_threads=False)


def read_groups(paths: Sequence[Path]) -> None:
    """Read row groups as the reader does: presence, order, values that are not finite."""
    for path in paths:
        for group in range(pq.read_metadata(path).num_row_groups):
            read_part(Part(path, (group,)), ("logmel",), 10)


def convert(clips: int) -> None:
    """Copy clips of float16 into batches and make them float32."""
    held = torch.from_numpy(np.random.default_rng(0).random((64, 10, 100, 64)).astype(np.float16))
    for _ in range(clips // len(held)):
        held.clone().float()


def parts_of_the_reading(store: Path) -> dict[str, float]:
    """Return clips per second of a core that does a part of the reading alone."""
    torch.set_num_threads(1)
    paths = sorted((store / "snippets").glob("*.parquet"))
    clips = sum(pq.read_metadata(path).num_rows for path in paths) // 10
    works: dict[str, Callable[[], object]] = {
        "bytes of the files copied": lambda: [path.read_bytes() for path in paths],
        "column decoded by Parquet": lambda: decode(paths, checked=False),
        "the same with checksums": lambda: decode(paths, checked=True),
        "row groups as the reader has them": lambda: read_groups(paths),
        "batches copied and made float32": lambda: convert(clips),
    }
    found = {}
    for name, work in works.items():
        work()
        started = time.process_time()
        work()
        found[name] = round(clips / (time.process_time() - started), 1)
    return found


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


def measured(root: Path, old: Path, processes: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read stores of both types, small files and shards: the rates, and those of the parts."""
    found: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for kind in ("float32", "float16"):
        small = write_tagging_store(
            root / kind, train=CLIPS, val=0, test=0, seconds=10, features=("logmel",),
            parts=CLIPS // CLIPS_A_FILE, recipe=RECIPE.with_(logmel_type=kind),
        )  # fmt: skip
        shards = packed(small, root / f"{kind}-packed")
        for name, store in (("small files", small), ("packed", shards)):
            for workers in (0, 2):
                label = f"{kind}, {name}, {workers} readers"
                if kind == "float32":
                    found[f"before: {label}"] = measure(store, workers, old)
                elif workers:
                    found[f"processes: {label}"] = measure(store, workers, processes)
                found[f"after: {label}"] = measure(store, workers)
            if kind == "float16":
                parts[name] = parts_of_the_reading(store)
        shutil.rmtree(small)
    return found, parts


@pytest.mark.bench
def test_reading_before_and_after(tmp_path: Path) -> None:
    trees = {tmp_path / "before": BEFORE, tmp_path / "processes": PROCESSES}
    for tree, commit in trees.items():
        subprocess.run(["git", "worktree", "add", "--detach", tree, commit], cwd=ROOT, check=True)
    try:
        found, parts = measured(tmp_path, *trees)
    finally:
        for tree in trees:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)
    ratios = ratios_of(found)
    rates = [one["clips_a_core_second"] for name, one in found.items() if "after: float16" in name]
    report = {
        "what": f"{CLIPS} clips of ten seconds of log-mel, files of {CLIPS_A_FILE} clips or "
        f"shards, buffers of {BUFFER}, batches of {BATCH}, page cache warm; clips_a_core_second "
        "counts processor time, which other programs of the machine change less",
        "machine": describe(),
        "before_commit": BEFORE,
        "processes_commit": PROCESSES,
        **found,
        "clips_a_core_second_of_a_part_alone": parts,
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
