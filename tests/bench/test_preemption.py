"""`make bench`: what a unit and a start cost, and how much work is wasted against the unit size."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.commands.preemption import Workload
from pipelines.jobs.features.command import Options
from pipelines.jobs.features.worker import Runtime, UnitWorker, load_extractors
from pipelines.media.media_index import MediaFile
from pipelines.store.feature_store import FeatureStore
from pipelines.store.units import ClipTask, Unit
from schemas import RECIPES, Clip
from tests.bench.machine import describe
from tests.bench.pictures import draw
from tests.bench.scheduler import played, wasted
from tests.places import BENCHMARKS
from tests.stores.units import WIDTHS, add_units

LIVES_H = (1, 4, 24)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
UNITS = 40_000
LOAD = """
from pipelines.jobs.features.worker import Runtime, load_extractors
from schemas import RECIPES
from tests.places import BENCHMARKS
load_extractors(RECIPES["llp-eccv20"].with_(weights="seeded:0", precision="fp32"), Runtime())
"""


@pytest.fixture(scope="module")
def media(shared: Path) -> Path:
    return shared / "clips/labelled/BjCEufrlXm4_20_30.mp4"


def unit_seconds(media: Path, work: Path) -> dict[str, float]:
    """Seconds that a unit takes beside its clips: the first decode, files and threads around it."""
    wanted = RECIPES["llp-eccv20"].with_(weights="seeded:0", extractors=("logmel",))
    loaded = load_extractors(wanted, Runtime())
    store = FeatureStore(str(work / "units"))
    worker = UnitWorker(store, wanted, Runtime(), lambda: loaded)
    sizes, walls, decodes = (1, 2, 4, 8) * 2, [], []
    for place, size in enumerate((1, *sizes)):  # the first one warms up
        first = 100.0 * place
        tasks = (Clip("BjCEufrlXm4", first + n, first + n + 10) for n in range(size))
        unit = Unit.of(tuple(ClipTask(clip, MediaFile(str(media), cut=True), 1) for clip in tasks))
        started = time.perf_counter()
        receipt = worker.do(unit)
        walls.append(time.perf_counter() - started)
        decodes.append(receipt.seconds["decode"] / size)
    slope, between = np.polyfit(sizes, walls[1:], 1)
    return {
        "first_decode": round(float(np.median(decodes[1:])), 4),
        "folder_threads_and_receipt": round(float(between), 4),
        "clip_with_log_mel_alone": round(float(slope), 4),
    }


def commit_seconds(work: Path) -> dict[str, float]:
    """Seconds to write the parts and the receipt of 16 clips, and to read a receipt back."""
    started = time.perf_counter()
    store = add_units(work / "commit", units=20, clips=16, features=tuple(WIDTHS), boxes=100)
    made = time.perf_counter() - started
    written = sum(receipt.seconds["write"] for receipt in store.receipts()) / 20
    add_units(work / "many", units=1000, clips=1, seconds=1, features=("vggish",), failures=0)
    started = time.perf_counter()
    FeatureStore(str(work / "many")).state()
    read = (time.perf_counter() - started) / 1000
    assert made > written
    return {"parts_of_16_clips": round(written, 4), "read_a_receipt": round(read, 6)}


def start_seconds() -> float:
    """Seconds from a new process to loaded nets; machine and image come on top."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", LOAD], check=True)
    return round(time.perf_counter() - started, 1)


@pytest.mark.bench
def test_waste_against_unit_size(media: Path, tmp_path: Path) -> None:
    machine = describe()
    unit, commit, start = unit_seconds(media, tmp_path), commit_seconds(tmp_path), start_seconds()
    extract = json.loads((BENCHMARKS / "extract.json").read_text())
    clip_s = extract["every_extractor"]["bf16"]["total"]
    unit_s = round(
        unit["first_decode"] + max(0.0, unit["folder_threads_and_receipt"])
        + commit["parts_of_16_clips"], 3,
    )  # fmt: skip
    default = Options.unit_size
    report: dict[str, Any] = {
        "what": "share of paid worker time that does no clip for good, exponential lifetimes",
        "machine": machine,
        "seconds": {
            "clip": clip_s, "unit": unit_s, "start_without_machine_and_image": start,
            **unit, **commit,
        },
        "default_unit_size": default,
        "by_mean_life": {},
    }  # fmt: skip
    curves = {}
    for hours in LIVES_H:
        work = Workload(clip_s=clip_s, unit_s=unit_s, start_s=start, life_s=3600 * hours)
        curves[hours] = work, [simulated(work, size) for size in SIZES]
        report["by_mean_life"][f"{hours} h"] = waste(*curves[hours], default)
    report["llp_on_100_workers_idle_at_the_end"] = {
        str(size): round(idle_share(curves[24][0], size), 4) for size in (4, 16, 64)
    }
    report["best_unit_size_by_seconds_per_clip"] = {
        f"{seconds:g} s": {
            f"{hours} h": Workload(
                clip_s=seconds, unit_s=unit_s, life_s=3600 * hours
            ).best_unit_size()
            for hours in LIVES_H
        }
        for seconds in (0.1, 0.3, 1.0, 3.0, 7.2)
    }
    (BENCHMARKS / "preemption.json").write_text(json.dumps(report, indent=1) + "\n")
    draw("preemption.png")


def waste(work: Workload, curve: list[float], default: int) -> dict[str, Any]:
    """Return the waste at the best and at the default size, and that of a simulation of each."""
    best = work.best_unit_size()
    for size, seen in zip(SIZES, curve, strict=True):
        assert seen == pytest.approx(work.share_wasted(size), abs=0.006)
    assert work.share_wasted(default) - work.share_wasted(best) < 0.01
    return {
        "best_unit_size": best,
        "wasted_at_best": round(work.share_wasted(best), 4),
        "wasted_at_default": round(work.share_wasted(default), 4),
        "simulated": {str(size): round(seen, 4) for size, seen in zip(SIZES, curve, strict=True)},
    }


def simulated(work: Workload, unit_size: int) -> float:
    """The waste in a job so long that neither its begin nor its end weighs."""
    return wasted(work, clips=UNITS * unit_size, unit_size=unit_size, workers=4)


def idle_share(work: Workload, unit_size: int) -> float:
    """Share of the paid time in which workers wait for the last units."""
    spent = played(work, clips=11_849, unit_size=unit_size, workers=100)
    return spent["idle"] / sum(spent.values())
