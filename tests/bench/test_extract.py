"""`make bench`: ours against plain scripts in one run, by stage, and how near the peak."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from extractors.base import LoadOptions
from extractors.nets import vggish_net
from extractors.nets.precision import resolve_precision
from extractors.nets.shared import shared_net
from extractors.nets.torchvision_trunks import TRUNKS
from pipelines.jobs.features.worker import Runtime, UnitWorker, load_extractors
from pipelines.media.media_index import MediaFile
from pipelines.store.feature_store import FeatureStore
from pipelines.store.receipts import Receipt
from pipelines.store.units import ClipTask, Unit
from schemas import RECIPES, Clip, Recipe, tensor_shape, tensor_values
from tests.bench.machine import describe, peak_tflops
from tests.bench.pictures import draw
from tests.bench.plain import Plain
from tests.places import BENCHMARKS

THREE = ("vggish", "resnet152", "r2plus1d")
REPEATS, UNIT = 1, 4


@pytest.fixture(scope="module")
def media(shared: Path) -> Path:
    return shared / "clips/labelled/BjCEufrlXm4_20_30.mp4"


def recipe(precision: str, extractors: tuple[str, ...] = THREE) -> Recipe:
    return RECIPES["llp-eccv20"].with_(
        weights="seeded:0", precision=precision, extractors=extractors
    )


def our_seconds(media: Path, work: Path, wanted: Recipe) -> dict[str, float]:
    """Wall seconds a clip by stage, and `total` with everything: decode, nets, Parquet.

    A unit has four clips, so that the next one can be decoded while one is in the nets; `decode`
    is then not part of the sum.
    """
    loaded = load_extractors(wanted, Runtime())
    clips = [Clip("BjCEufrlXm4", 20.0 + number, 30.0 + number) for number in range(UNIT)]
    unit = Unit.of(tuple(ClipTask(clip, MediaFile(str(media), cut=True), 1) for clip in clips))
    runs: list[dict[str, float]] = []
    for repeat in range(REPEATS + 1):  # the first one warms up
        folder = work / f"{wanted.hash}-{repeat}"
        folder.mkdir(parents=True)
        worker = UnitWorker(FeatureStore(str(folder)), wanted, Runtime(), lambda: loaded)
        started = time.perf_counter()
        receipt: Receipt = worker.do(unit)
        total = time.perf_counter() - started
        assert len(receipt.done) == UNIT
        runs.append({**receipt.seconds, "total": total})
    return {stage: round(min(run[stage] for run in runs[1:]) / UNIT, 4) for stage in runs[0]}


def stored(work: Path, made_by: Recipe, feature: str) -> NDArray[np.float32]:
    """Rows [M, D] of a feature that `our_seconds` left."""
    (part,) = (work / f"{made_by.hash}-0" / "snippets").glob("*.parquet")
    table = pq.read_table(part)
    shape = tensor_shape(table.schema.field(feature)) or ()
    values, present = tensor_values(table[feature].combine_chunks(), shape)
    rows: NDArray[np.float32] = values[present]
    return rows


def agreement(work: Path, fast: Recipe, exact: Recipe) -> dict[str, dict[str, float]]:
    """How near two arithmetics are, by extractor: least cosine, largest deviation, spread."""
    found = {}
    for feature in THREE:
        ours, theirs = stored(work, fast, feature), stored(work, exact, feature)
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        found[feature] = {
            "least_cosine": round(float(((ours * theirs).sum(1) / lengths).min()), 6),
            "largest_deviation": round(float(np.abs(ours - theirs).max()), 5),
            "standard_deviation_of_the_feature": round(float(theirs.std()), 5),
        }
    return found


INPUTS: dict[str, list[tuple[int, ...]]] = {
    "resnet152": [(8, 3, 224, 224)] * 10,
    "r2plus1d": [(2, 3, 8, 112, 112)] * 5,
    "vggish": [(10, 96, 64)],
}
"""What the nets see of one clip of 10 s, batch by batch."""


def bare_seconds(precision: Any) -> dict[str, float]:
    """Seconds of the nets alone on ready tensors."""
    seconds = {}
    for name, shapes in INPUTS.items():
        arithmetic = "fp32" if name == "vggish" else precision  # as the extractor does
        net = shared_net(name, LoadOptions(weights="seeded:0", precision=arithmetic))  # type: ignore[arg-type]
        batches = [torch.rand(shape) for shape in shapes]
        times = []
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            for batch in batches:
                net(batch)
            times.append(time.perf_counter() - started)
        seconds[name] = round(min(times), 4)
    return seconds


def tera_operations() -> float:
    """Operations of the nets for one clip in 10^12, an addition and a product counted as two."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        for name, shapes in INPUTS.items():
            net = vggish_net.Net() if name == "vggish" else TRUNKS[name]()
            for shape in shapes:
                net.eval()(torch.empty(shape))
    return float(counter.get_total_flops() / 1e12)


@pytest.mark.bench
def test_extraction_against_plain_scripts(media: Path, tmp_path: Path) -> None:
    machine = describe()
    plain_net = Plain()
    plain_net.run(media, tmp_path / "warm")
    plain_runs = [plain_net.run(media, tmp_path / f"plain{i}") for i in range(2)]
    plain = {name: round(min(run[name] for run in plain_runs), 4) for name in plain_runs[0]}
    plain["total"] = round(sum(plain.values()), 4)
    del plain_net
    auto, reason = resolve_precision("auto")
    report: dict[str, Any] = {
        "what": "seconds a clip of 10 s, 320x240, in units of four, model load "
        "excluded; decode runs beside the nets",
        "machine": machine,
        "auto_precision": reason,
        "plain": plain,
        "ours": {},
    }
    for precision in dict.fromkeys(("fp32", auto)):
        ours = our_seconds(media, tmp_path, recipe(precision))
        bare, operations = bare_seconds(precision), tera_operations()
        nets = sum(bare.values())
        peak = peak_tflops(torch.bfloat16 if precision == "bf16" else torch.float32)
        report["ours"][precision] = {
            "seconds": ours,
            "bare_nets": bare,
            "times_faster_than_plain": round(plain["total"] / ours["total"], 2),
            "overhead_over_bare_nets": round(ours["total"] / nets - 1, 3),
            "tera_operations": round(operations, 3),
            "best_kernel_tflops": round(peak, 3),
            "share_of_best_kernel": round(operations / nets / peak, 3),
        }
    report["agreement_with_fp32"] = {auto: agreement(tmp_path, recipe(auto), recipe("fp32"))}
    full = recipe(auto, RECIPES["llp-eccv20"].extractors)
    report["every_extractor"] = {auto: our_seconds(media, tmp_path / "full", full)}
    (BENCHMARKS / "extract.json").write_text(json.dumps(report, indent=1) + "\n")
    draw("extract.png")
    assert all(one["times_faster_than_plain"] > 1 for one in report["ours"].values())
