"""What can be learnt from the demo world: probes, baselines, the papers' orderings, box recall.

Long: features of 240 clips, then three trainings of each experiment. EARSIGHT_DEMO_STORE names a
store of the demo world that is there already; EARSIGHT_DEMO_RUNS keeps the runs, so that a second
call goes on where the first one stopped.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from extractors.proposals import RegionProposals
from models import train
from models.data.clips import ClipData, in_memory, open_clips
from models.data.streaming import clips as streaming
from models.data.streaming.clips import open_data
from models.metrics import AVVP_NAMES
from models.training import results
from pipelines.demo import DemoOptions, demo_folder, generate
from pipelines.demo.figure import decode as decode_all
from schemas import RECIPES
from tests.bench.pictures import draw
from tests.places import BENCHMARKS

DOCS = BENCHMARKS
SEED, CLIPS, SEEDS = 1, 240, (1, 2, 3)
MAIN = (
    "han", "video-level", "second-probe", "han-wsl", "han-guided", "han-attentive", "han-max",
    "han-mean", "cross_modal-base", "cross_modal-adv-skip-gcaa",
)  # fmt: skip
"""Experiments that are trained with every seed; the others once."""
SCHEDULE = ("--epochs", "60", "--decay-every", "20")
"""For all alike: so few clips need more rounds than a paper's ten thousand."""
GROUNDING = (
    "--epochs", "30", "--pretrain-epochs", "10", "--learning-rate", "1e-4", "--batch-size", "16",
    "--layers", "4",
)  # fmt: skip
"""For avg: it would stand still at 1e-6, the paper's rate, and has 12 layers for 29,000 clips."""
EXPERIMENTS = (
    "han", "video-level", "second-probe", "han-wsl", "han-guided", "han-attentive", "han-max",
    "han-mean", "han-gru", "han-transformer", "han-plain", "han-bootstrap", "talnet", "cmcs", "ave",
    "cross_modal-base", "cross_modal-gcaa", "cross_modal-adv-skip", "cross_modal-adv-skip-gcaa",
    "avg-uni", "avg-cross", "avg-multi", "wu_yang",
)  # fmt: skip
ORDERINGS = (
    ("han-attentive", "han-wsl", "segment_type_av", "both losses > loss on the clip"),
    ("han-attentive", "han-guided", "segment_type_av", "both losses > guided losses"),
    ("han-attentive", "han-mean", "segment_type_av", "attentive > mean pooling"),
    ("han-mean", "han-max", "segment_type_av", "mean > max pooling"),
    ("han-gru", "han-attentive", "segment_type_av", "GRU > no temporal net"),
    ("han-transformer", "han-gru", "segment_type_av", "Transformer > GRU"),
    ("han-plain", "han-transformer", "segment_type_av", "HAN > Transformer"),
    ("han-plain", "han-bootstrap", "segment_type_av", "no noise handling > bootstrap"),
    ("han", "han-plain", "segment_type_av", "smoothing > no noise handling"),
    ("han", "talnet", "segment_audio", "HAN > TALNet, audio"),
    ("han", "cmcs", "segment_visual", "HAN > CMCS, video"),
    ("han", "ave", "segment_type_av", "HAN > AVE"),
    ("cross_modal-gcaa", "cross_modal-base", "segment_type_av", "GCAA > base"),
    ("cross_modal-adv-skip", "cross_modal-base", "segment_type_av", "Adv+Skip > base"),
    ("cross_modal-adv-skip-gcaa", "cross_modal-gcaa", "segment_type_av", "all three > GCAA"),
    ("cross_modal-adv-skip-gcaa", "han", "segment_type_av", "all three > HAN"),
    ("avg-multi", "avg-cross", "segment_type_av", "multi > cross grounding"),
    ("avg-cross", "avg-uni", "segment_type_av", "cross > uni grounding"),
    ("avg-multi", "han", "segment_type_av", "multi grounding > HAN"),
    ("wu_yang", "han", "segment_type_av", "Wu & Yang > HAN"),
)
"""Pairs of the papers' tables: who is ahead of whom in which score."""


@pytest.fixture(scope="module")
def store() -> Path:
    given = os.environ.get("EARSIGHT_DEMO_STORE")
    if given:
        return Path(given)
    out = DOCS.parents[1] / "out" / f"demo{CLIPS}"
    subprocess.run(
        [sys.executable, "-m", "pipelines", "run", "features", "--dataset", "demo", "--clips",
         str(CLIPS), "--seed", str(SEED), "--out", str(out), "--extractors",
         "vggish,resnet152,r2plus1d"], check=True,
    )  # fmt: skip
    return out


def record(name: str, value: Any) -> None:
    """Put one result into docs/benchmarks/demo.json."""
    path = DOCS / "demo.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | {name: value}, indent=1) + "\n")


def seconds_of(
    data: ClipData, feature: str, modality: str, splits: tuple[str, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features [M, D] and true labels [M, C] of all present seconds of some splits."""
    rows = np.concatenate([data.rows(split).numpy() for split in splits])
    here = data.present[feature][rows].numpy()
    return data.features[feature][rows].numpy()[here], data.truth[modality][rows][here]


@pytest.mark.bench
def test_probe_of_single_seconds(store: Path) -> None:
    data = open_clips(store, ("vggish", "resnet152", "r2plus1d"))
    found: dict[str, dict[str, Any]] = {}
    for feature, modality in (("vggish", "audio"), ("resnet152", "visual"), ("r2plus1d", "visual")):
        x, y = seconds_of(data, feature, modality, ("train", "val"))
        x_test, y_test = seconds_of(data, feature, modality, ("test",))
        scale = StandardScaler().fit(x)
        scores, chance = [], []
        for label in np.flatnonzero(y.any(0) & y_test.any(0)):
            probe = LogisticRegression(C=0.01, max_iter=300).fit(scale.transform(x), y[:, label])
            guess = probe.decision_function(scale.transform(x_test))
            scores.append(float(average_precision_score(y_test[:, label], guess)))
            chance.append(float(y_test[:, label].mean()))
        found[feature] = {
            "map": round(float(np.mean(scores)), 3),
            "chance": round(float(np.mean(chance)), 3),
            "classes": len(scores),
            "seconds": [len(x), len(x_test)],
        }
    record("probe", found)
    assert all(one["map"] > 2 * one["chance"] for one in found.values())


def trained(names: tuple[str, ...], store: Path, base: Path) -> dict[str, list[dict[str, Any]]]:
    """Results by experiment and seed; a run that is there is not trained again."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for name in names:
        for seed in SEEDS if name in MAIN else SEEDS[:1]:
            folder = base / f"{name}-{seed}"
            if not (folder / "results.json").exists():
                schedule = GROUNDING if name.startswith("avg") else SCHEDULE
                train.main([name, "--features", str(store), "--run", str(folder), "--seed",
                            str(seed), *schedule])  # fmt: skip
            found[name].append(json.loads((folder / "results.json").read_text()))
    return found


def table(runs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, list[float]]]:
    """Mean and deviation of every score by experiment, and what predicting nothing gets."""
    rows = {}
    for name, ones in runs.items():
        scores = results.spread([one["metrics"]["test"] for one in ones])
        rows[name] = {
            metric: [round(scores[metric]["mean"], 1), round(scores[metric]["std"], 1)]
            for metric in AVVP_NAMES
            if metric in scores
        }
    floor = next(iter(runs.values()))[0]["floor"]["test"]
    return rows | {"all-zero": {metric: [round(floor[metric], 1), 0.0] for metric in AVVP_NAMES}}


def orderings(found: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, Any]]:
    """Whether the papers' orderings show: by more than seeds differ, the other way, or neither.

    A row that was trained once is taken to differ as much as the others do on average.
    """
    rows = {}
    for ahead, behind, metric, words in ORDERINGS:
        usual = float(np.mean([found[name][metric][1] for name in MAIN]))
        spreads = [found[name][metric][1] if name in MAIN else usual for name in (ahead, behind)]
        gain, noise = found[ahead][metric][0] - found[behind][metric][0], math.hypot(*spreads)
        rows[words] = {
            "gain": round(gain, 1),
            "spread": round(noise, 1),
            "shows": "yes" if gain > noise else "no" if gain < -noise else "undecided",
        }
    return rows


@pytest.mark.bench
def test_parsing_against_baselines_and_ablations(store: Path, tmp_path: Path) -> None:
    base = Path(os.environ.get("EARSIGHT_DEMO_RUNS", tmp_path))
    runs = trained(EXPERIMENTS, store, base)
    found = table(runs)
    record("clips", runs["han"][0]["features"]["clips"])
    record("schedule", " ".join(SCHEDULE))
    record("parsing", found)
    record("orderings", orderings(found))
    draw("demo.png")
    for metric in ("segment_type_av", "event_type_av"):
        mean, std = found["han"][metric]
        for other in ("all-zero", "video-level", "second-probe"):
            assert mean - std > found[other][metric][0] + found[other][metric][1], (metric, other)


@pytest.mark.bench
def test_loss_on_the_clip_alone_when_pictures_say_little(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_frames(*arguments: Any, **options: Any) -> Any:
        data = in_memory(open_data(*arguments, **options))
        data.features["resnet152"].zero_()
        return data

    monkeypatch.setattr(streaming, "open_data", without_frames)
    base = Path(os.environ.get("EARSIGHT_DEMO_RUNS", tmp_path)) / "without-frames"
    found = table(trained(("han-wsl", "han-guided", "han-attentive"), store, base))
    record("parsing_without_resnet152", found)
    assert found["han-attentive"]["segment_visual"][0] > found["han-wsl"]["segment_visual"][0]


@pytest.mark.bench
def test_recall_of_region_proposals() -> None:
    options = DemoOptions(clips=600, seed=SEED)
    folder = generate(options, demo_folder(options))
    finder = RegionProposals(RECIPES["llp-eccv20"].with_(proposals_per_snippet=100))
    hits: dict[int, list[bool]] = {10: [], 50: [], 100: []}
    for number in range(60):
        key = options.clip_key(number)
        frames, _ = decode_all(folder / f"{key}.mp4")
        truth = pq.read_table(folder / "demo_boxes.parquet", filters=[("clip_key", "=", key)])
        for row in truth.to_pylist():
            if row["frame_index"] % 25 != 12 or row["visible_share"] < 0.5:
                continue
            boxes = finder.reduce(frames[row["frame_index"]]).boxes
            overlap = ious(boxes, np.array([row[edge] for edge in ("x0", "y0", "x1", "y1")]))
            for most, seen in hits.items():
                seen.append(bool((overlap[:most] >= 0.5).any()))
    recall = {str(most): round(float(np.mean(seen)), 3) for most, seen in hits.items()}
    record("proposals", {"recall_at_iou_0.5": recall, "boxes": len(hits[10]), "clips": 60})
    assert recall["10"] <= recall["50"] <= recall["100"]


def ious(boxes: NDArray[np.float32], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes [P, 4] with one box [4]."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    inside = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    union = areas + (box[2:] - box[:2]).prod() - inside
    return np.asarray(inside / union, dtype=np.float64)
