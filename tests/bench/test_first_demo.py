"""What the README's two commands cost and what the HAN that they train is worth.

The world of `make features` and HAN's settings for few clips were chosen on other seeds of the
world; its test split is looked at here alone. EARSIGHT_FIRST_DEMO names a folder that keeps store
and runs, so that a second call goes on where the first one stopped.
"""

import json
import os
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models import registry
from models.data.clips import ClipData, open_clips
from models.tasks.intervals import bootstrap_intervals
from models.tasks.parsing import Predictions, clip_scores, parsing_scores
from models.training.results import RunResults
from tests.bench import machine
from tests.places import BENCHMARKS, ROOT

SEEDS = (1, 2, 3)
SCORES = ("segment_type_av", "segment_audio", "segment_visual", "event_type_av")
YARDSTICKS = ("video-level", "second-probe")
FILE = BENCHMARKS / "demo_first.json"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("EARSIGHT_FIRST_DEMO")
    return Path(kept) if kept else tmp_path_factory.mktemp("first")


def features_command(out: Path) -> list[str]:
    """The words of `make features` after `beam`."""
    said = subprocess.run(
        ["make", "-n", "-o", ".venv/runtime.done", "features", f"OUT={out}"], cwd=ROOT, check=True,
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    return shlex.split(said.replace("\\\n", " ").strip().removeprefix("@"))[1:]


def timed(words: list[str], env: dict[str, str]) -> dict[str, Any]:
    """Run a command; wall time, processor time, load of the machine before and after."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    load = [round(os.getloadavg()[0], 1)]
    subprocess.run(words, check=True, cwd=ROOT, env=os.environ | env)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "wall_s": round(wall, 1),
        "processor_s": round(spent, 1),
        "load_before_and_after": [*load, round(os.getloadavg()[0], 1)],
    }


def record(name: str, value: Any) -> None:
    """Put one result into docs/benchmarks/demo_first.json."""
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps(known | {name: value}, indent=1) + "\n")


@pytest.mark.bench
def test_time_of_the_two_commands(place: Path) -> None:
    """Of a machine that has neither clips nor tables yet; set-up apart."""
    place.mkdir(parents=True, exist_ok=True)
    store, known = place / "store", json.loads(FILE.read_text()) if FILE.exists() else {}
    words = features_command(store)
    found = known.get("two_commands", {}) | {"machine": machine.describe()}
    found["options"] = " ".join(words[words.index("--clips") :])
    if not (store / "manifest.json").exists():
        features = [sys.executable, "-m", "pipelines", *words]
        found["features"] = timed(features, {"XDG_CACHE_HOME": str(place / "cache")})
        record("two_commands", found)
    train = [sys.executable, "models/train.py", "han", "--features", str(store)]
    found["train"] = timed([*train, "--run", str(place / "han-1"), "--overwrite"], {})
    record("two_commands", found)
    spent = found["features"]["processor_s"] + found["train"]["processor_s"]
    assert spent <= 2 * 4 * 60, "more than four minutes of two cores"


@pytest.mark.bench
def test_han_is_ahead_of_every_yardstick(place: Path) -> None:
    store = place / "store"
    table: dict[str, Any] = {"han": trained(place, store, "han")}
    for name in YARDSTICKS:
        table[name] = trained(place, store, name)
    data = open_clips(store, registry.load("han").card.needs)
    nothing = np.zeros_like(data.truth["audio"])
    table["all-zero"] = {"any": scores(data, nothing)}
    everywhere = np.repeat(data.labels.numpy()[:, None] > 0.5, data.seconds, axis=1)
    table["true labels of the clip in every second"] = {"any": scores(data, everywhere)}
    record("test_split", table)
    record(
        "clips", {split: int((data.splits == split).sum()) for split in ("train", "val", "test")}
    )
    for seed in SEEDS:
        low = table["han"][str(seed)]["segment_type_av"][1]
        for name in (*YARDSTICKS, "all-zero"):
            high = max(one["segment_type_av"][2] for one in table[name].values())
            assert low > high, (seed, name)


def trained(place: Path, store: Path, name: str) -> dict[str, dict[str, list[float]]]:
    """Score and 95 % interval by seed; what has no settings of its own for few clips has HAN's."""
    found = {}
    for seed in SEEDS:
        folder = place / f"{name}-{seed}"
        if not (folder / "results.json").exists():
            words = [name, "--features", str(store), "--run", str(folder), "--seed", str(seed)]
            if name != "han":
                settings = json.loads((place / "han-1" / "config.json").read_text())["settings"]
                for setting in ("epochs", "decay_every"):
                    words += [f"--{setting.replace('_', '-')}", str(settings[setting])]
            subprocess.run([sys.executable, "models/train.py", *words], check=True, cwd=ROOT)
        report = RunResults.read(folder / "results.json").reports["test"]
        assert report.intervals is not None
        found[str(seed)] = {
            score: [round(number, 1) for number in (value, *report.intervals[score])]
            for score in SCORES
            if (value := report.metrics[score]) is not None
        }
    return found


def scores(data: ClipData, everywhere: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Scores and intervals of decisions [N, T, C], for both modalities alike, on the test split."""
    rows = data.rows("test")
    decided = everywhere[rows.numpy()]
    empty = np.zeros(decided.shape, np.float32)
    said = Predictions(
        rows=rows, clip=empty[:, 0], audio=empty, visual=empty, heard=decided, seen=decided
    )
    both = ("audio", "visual")
    value = parsing_scores(said, data, both)
    bounds = bootstrap_intervals(clip_scores(said, data, both))
    return {
        score: [round(number, 1) for number in (value[score], *bounds[score])] for score in SCORES
    }
