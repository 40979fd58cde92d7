"""`make bench`: speed and memory of a pack, and what reading gains from it."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from models.data.streaming.clips import open_stream
from models.nets.tagging.fayek_audio import Config
from pipelines.jobs.pack import pack
from pipelines.store.feature_store import FeatureStore
from tests.bench.machine import describe
from tests.bench.memory import run_beam
from tests.places import BENCHMARKS
from tests.stores.units import CLASSES, WIDTHS, add_units

UNITS = (20, 60, 160)
"""Of 16 clips of 10 s with every column of `snippets`."""
GROUPS_MB = (4, 32, 256)


def run_pack(out: Path) -> dict[str, Any]:
    """One `beam run pack` with its default sizes: seconds and memory."""
    size = sum(path.stat().st_size for path in out.glob("*/*.parquet"))
    started = time.perf_counter()
    _, peak = run_beam("run", "pack", "--out", str(out))
    seconds = time.perf_counter() - started
    shards = sorted(path.stat().st_size for path in (out / "snippets").iterdir())
    return {
        "store_mb": round(size / 1e6), "seconds": round(seconds, 1), "peak_memory_mb": peak,
        "shards": len(shards), "largest_shard_mb": round(shards[-1] / 1e6, 1),
    }  # fmt: skip


def epoch(out: Path) -> dict[str, float]:
    """Open a store for streaming and go through one epoch of log-mel."""
    started = time.perf_counter()
    data = open_stream(out, ("logmel",), buffer_clips=1024)
    opened = time.perf_counter() - started
    order = data.order(Config(classes=len(CLASSES), batch_size=64), 1)
    started = time.perf_counter()
    for _ in data.load(list(order.split(64))):  # type: ignore[no-untyped-call]
        pass
    seconds = time.perf_counter() - started
    return {
        "seconds_to_open": round(opened, 2),
        "clips_a_second": round(len(order) / seconds, 1),
        "memory_mb": round(psutil.Process().memory_info().rss / 2**20),
    }


def by_row_group(loose: Path, work: Path) -> dict[str, dict[str, float]]:
    """Seconds to read a shard with row groups of several sizes: all columns, and a narrow one."""
    found = {}
    for size in GROUPS_MB:
        out = Path(shutil.copytree(loose, work / f"groups{size}"))
        store = FeatureStore(str(out))
        started = time.perf_counter()
        for shard in pack.plan(store, 256_000_000):
            pack.pack(store, shard, size * 2**20)
        written = time.perf_counter() - started
        path = sorted((out / "snippets").glob("pack-*"))[0]
        seconds = {"write": round(written, 2)}
        for name, columns in (("all_columns", None), ("vggish", ["clip_key", "vggish"])):
            started = time.perf_counter()
            pq.ParquetFile(path).read(columns=columns, use_threads=False)
            seconds[name] = round(time.perf_counter() - started, 3)
        found[f"{size} MB"] = {**seconds, "row_groups": pq.ParquetFile(path).num_row_groups}
        shutil.rmtree(out)
    return found


@pytest.mark.bench
def test_pack_speed_and_memory(tmp_path: Path) -> None:
    report: dict[str, Any] = {
        "what": "stores of 16 clips a unit, 10 s each, random vggish, resnet152, r2plus1d, logmel",
        "machine": describe(),
    }
    runs = []
    for units in UNITS:
        out = tmp_path / str(units)
        add_units(out, units=units, clips=16, features=tuple(WIDTHS))
        if units == UNITS[1]:
            report["row_groups"] = by_row_group(out, tmp_path)
        if units == UNITS[-1]:
            report["epoch_before"] = epoch(out)
        runs.append(run_pack(out))
    report["packs"] = runs
    report["epoch_after"] = epoch(tmp_path / str(UNITS[-1]))
    (BENCHMARKS / "pack.json").write_text(json.dumps(report, indent=1) + "\n")
    assert runs[-1]["peak_memory_mb"] < 1.1 * runs[1]["peak_memory_mb"]
    assert report["epoch_after"]["clips_a_second"] > 100  # 4 when a buffer does not fit the reader
    assert 200 < runs[-1]["largest_shard_mb"] < 256
