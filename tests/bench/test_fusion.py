"""`make bench`: every fusion on a demo store, three seeds, and the figures of the analysis.

The store is named by EARSIGHT_DEMO_STORE; it needs `logmel` and `resnet152` of a few hundred clips:
`beam run features --dataset demo --clips 600 --extractors logmel,resnet152 --out out/demo600`.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from models import analysis, train
from models.training import results
from tests.bench.machine import describe
from tests.places import BENCHMARKS

SEEDS = (1, 2, 3)
FUSIONS = (
    "attention", "mlp", "regression", "average", "self", "cross", "without-transforms",
    "without-output",
)  # fmt: skip
AUDIO_EPOCHS = 20


def trained(run: Path, *arguments: object) -> dict[str, Any]:
    """Train unless the run is there; the scores on the test split."""
    if not (run / "results.json").is_file():
        train.main([*map(str, arguments), "--run", str(run)])
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


def run_seed(store: Path, root: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Results of the two single models and of every fusion of their scores."""
    given = ("--features", store, "--seed", seed)
    audio, visual = root / f"audio-{seed}", root / f"visual-{seed}"
    found = {
        "audio": trained(audio, "fayek_audio", *given, "--epochs", AUDIO_EPOCHS),
        "visual": trained(visual, "fayek_visual", *given, "--batch-size", 32),
    }
    singles = ("--audio-run", audio, "--visual-run", visual, "--batch-size", 64)
    for name in FUSIONS:
        run = root / f"{name}-{seed}"
        found[name] = trained(run, f"fusion-{name}", *given, *singles)
    return found


@pytest.mark.bench
def test_every_fusion_on_the_demo_world(tmp_path: Path) -> None:
    named = os.environ.get("EARSIGHT_DEMO_STORE")
    if not named:
        pytest.skip("EARSIGHT_DEMO_STORE names no demo store")
    root = Path(os.environ.get("EARSIGHT_DEMO_RUNS", tmp_path))
    seeds = [run_seed(Path(named), root, seed) for seed in SEEDS]
    scores = {
        name: results.spread([one[name]["metrics"]["test"] for one in seeds]) for name in seeds[0]
    }
    first = seeds[0]["attention"]
    report = {
        "what": f"demo clips, random weights, {len(SEEDS)} seeds, audio {AUDIO_EPOCHS} epochs; not "
        "comparable with the paper",
        "machine": describe(),
        "features": first["features"],
        "test": {
            name: {one: found[one] for one in ("map", "mauc")} for name, found in scores.items()
        },
    }
    (BENCHMARKS / "fusion.json").write_text(json.dumps(report, indent=1) + "\n")
    analysis.main(["--run", str(root / f"attention-{SEEDS[0]}")])
    for name in ("ap-by-modality.png", "gain.png", "attention.png"):
        drawn = root / f"attention-{SEEDS[0]}" / "analysis-test" / name
        shutil.copyfile(drawn, BENCHMARKS / f"fusion-{name}")
    best = max(scores["audio"]["map"]["mean"], scores["visual"]["map"]["mean"])
    assert scores["average"]["map"]["mean"] > 0.5 * best
