"""`make bench`: the Parekh line on a demo store, three seeds: scores, class by class, where, apart.

The store is named by EARSIGHT_DEMO_STORE and needs four extractors: `beam run features --dataset
demo --clips 600 --seed 1 --limit 240 --extractors logmel,segments,proposals,ncp --out out/parekh`.
EARSIGHT_DEMO_RUNS keeps the runs, so that a second call goes on where the first one stopped.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import localise, mixtures, train
from models.contract.report import origin
from models.training import results
from pipelines.demo import DemoOptions, demo_folder, generate
from tests.bench.machine import describe
from tests.bench.pictures import draw
from tests.places import BENCHMARKS

SEEDS = (1, 2, 3)
BAGS = ("--epochs", "15", "--learning-rate", "5e-4", "--batch-size", "12")
ROWS = {
    **dict.fromkeys(
        (
            "two_stream", "two_stream-audio", "two_stream-video", "two_stream-wsddn",
            "two_stream-one", "ncp_mil-audio", "ncp_mil-temporal", "ncp_mil",
        ),
        BAGS,
    ),
    "cvssp": ("--epochs", "10", "--precision", "bf16"),
    "cvssp-fusion": ("--epochs", "10", "--precision", "bf16"),
}  # fmt: skip
"""Experiments and how they are trained; so few clips need higher rates than the papers'."""
HEARD, SEEN = ("Owl", "Bumblebee"), ("Rocket",)
"""Classes of the demo world that are mostly heard and rarely seen, and the other way round."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a run of every row and seed."""
    store = os.environ.get("EARSIGHT_DEMO_STORE")
    if not store:
        pytest.skip("EARSIGHT_DEMO_STORE names no demo store")
    base = Path(os.environ.get("EARSIGHT_DEMO_RUNS") or tmp_path_factory.mktemp("runs"))
    for name, schedule in ROWS.items():
        for seed in seeds_of(name):
            run = base / f"{name}-{seed}"
            if not (run / "results.json").is_file():
                train.main([name, "--features", store, "--run", str(run), "--seed", str(seed),
                            *schedule])  # fmt: skip
    return base


def seeds_of(name: str) -> tuple[int, ...]:
    """Seeds of a row: one for the convolutional nets, which take a hundred times longer."""
    return SEEDS[:1] if name.startswith("cvssp") else SEEDS


def record(name: str, value: Any) -> None:
    """Put one result into docs/benchmarks/parekh.json."""
    path = BENCHMARKS / "parekh.json"
    known = json.loads(path.read_text()) if path.exists() else {"machine": describe()}
    path.write_text(json.dumps(known | {name: value}, indent=1) + "\n")


def of_seeds(runs: Path, name: str) -> list[dict[str, Any]]:
    """`results.json` of every seed."""
    folders = [runs / f"{name}-{seed}" for seed in seeds_of(name)]
    return [json.loads((folder / "results.json").read_text()) for folder in folders]


def rounded(scores: dict[str, dict[str, float]]) -> dict[str, list[float]]:
    """Mean and deviation of each score."""
    return {name: [round(one["mean"], 3), round(one["std"], 3)] for name, one in scores.items()}


@pytest.mark.bench
def test_rows_and_classes(runs: Path) -> None:
    scores, classes = {}, {}
    for name in ROWS:
        found = of_seeds(runs, name)
        scores[name] = rounded(results.spread([one["metrics"]["test"] for one in found]))
        classes[name] = rounded(results.spread([one["classes"]["test"]["ap"] for one in found]))
    record("clips", found[0]["features"]["clips"])
    record("test", scores)
    record("average_precision_of_classes", classes)
    groups = {
        name: {
            label: round(float(np.mean([one[label][0] for label in members])), 3)
            for label, members in (("mostly heard", HEARD), ("mostly seen", SEEN))
        }
        for name, one in classes.items()
    }
    record("average_precision_of_groups", groups)
    record("origin", origin(found[0]["features"]))
    draw("parekh-classes.png")
    best = max(scores[name]["map"][0] for name in ("two_stream-audio", "two_stream-video"))
    assert scores["two_stream"]["map"][0] > best


@pytest.mark.bench
def test_best_boxes_and_stretches_of_sound(runs: Path) -> None:
    truth = demo_folder(DemoOptions(clips=600, seed=1))
    parts: dict[str, Any] = {}
    for name in ("two_stream", "two_stream-video"):
        found = []
        for seed in SEEDS:
            run = runs / f"{name}-{seed}"
            localise.main(["--run", str(run), "--truth", str(truth), "--split", "test"])
            found.append(json.loads((run / "localisation-test.json").read_text()))
        parts[name] = mean_of(found)
    record("localisation", parts)
    clip = parts["two_stream"]["boxes"]["clip"]
    assert clip["top_pointing"] > clip["random_pointing"]


@pytest.mark.bench
def test_separation_of_two_sources(runs: Path) -> None:
    options = DemoOptions(clips=60, seed=2, sources=True)
    folder = generate(options, demo_folder(options))
    found = []
    for seed in SEEDS:
        run = runs / f"ncp_mil-audio-{seed}"
        mixtures.main(["--run", str(run), "--sources", str(folder), "--mixtures", "12"])
        (level,) = json.loads((run / "mixtures.json").read_text())["levels"]
        found.append(level)
    separation = mean_of(found)
    record("separation", separation)
    assert separation["mean"]["known_contest"] > separation["mean"]["known_hard"]


def mean_of(parts: list[Any]) -> Any:
    """Mean of every number of records of one shape."""
    if isinstance(parts[0], dict):
        return {name: mean_of([one[name] for one in parts]) for name in parts[0]}
    if isinstance(parts[0], int | float):
        return round(float(np.mean(parts)), 4)
    return parts[0]
