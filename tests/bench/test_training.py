"""`make bench`: an epoch of HAN and the scoring of 1,200 clips of 10,000, against a plain loop."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from models.data.clips import ClipData, open_clips
from models.nets.parsing import han
from models.tasks.parsing import parsing_scores, predict
from models.training import loop
from models.training.state import Training, begin
from pipelines.store.feature_store import FeatureStore
from schemas import table_schema
from schemas.manifests.llp import CLASSES
from tests.bench import plain_training as plain
from tests.bench.machine import describe
from tests.places import BENCHMARKS, ROOT
from tests.stores.tagging import write_tagging_store
from tests.stores.writer import RECIPE, write_manifest

TRAIN, TEST = 8_800, 1_200
FEATURES = ("vggish", "resnet152", "r2plus1d")
MODALITIES = ("audio", "visual")


def write_events(store: Path) -> pd.DataFrame:
    """Dense truth of the test clips: a span of seconds for each label and modality, or none."""
    random = np.random.default_rng(3)
    manifest = json.loads((store / "manifest.json").read_text())
    clips = pa.concat_tables([pq.read_table(store / one) for one in manifest["tables"]["clips"]])
    rows = [
        {"clip_key": clip["clip_key"], "modality": modality, "label": label,
         "onset_s": float(onset), "offset_s": float(min(10, onset + random.integers(1, 10)))}
        for clip in clips.filter(pa.compute.equal(clips["split"], "test")).to_pylist()
        for label in clip["labels"] for modality in MODALITIES
        for onset in random.choice(10, random.integers(0, 3), replace=False)
    ]  # fmt: skip
    events = pd.DataFrame(rows)
    table = pa.Table.from_pandas(events, schema=table_schema("events"), preserve_index=False)
    write_manifest(FeatureStore(str(store)), RECIPE, manifest["vocabulary"], events=table)
    return events


def write_files(data: ClipData, folder: Path) -> None:
    """Three .npy files a clip as the LLP authors publish them, each second's frame eight times."""
    names = dict(zip(FEATURES, ("vggish", "res152", "r2plus1d_18"), strict=True))
    for feature, name in names.items():
        (folder / name).mkdir(parents=True)
        for row, key in enumerate(data.keys):
            values = data.features[feature][row].numpy()
            repeats = 8 if feature == "resnet152" else 1
            np.save(folder / name / f"{key}.npy", values.repeat(repeats, axis=0))


def plain_clips(data: ClipData, split: str, folder: Path) -> plain.Clips:
    """The clips of a split for the plain loop."""
    rows = data.rows(split).tolist()
    names = np.array(data.vocabulary.names)
    labels = [",".join(names[data.labels[row].numpy() > 0]) for row in rows]
    table = pd.DataFrame({"filename": [data.keys[row] for row in rows], "event_labels": labels})
    return plain.Clips(folder, table, list(data.vocabulary.names))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that something takes, and what it gives."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def our_epoch(data: ClipData, precision: str) -> tuple[float, Training]:
    """One epoch of the trainer."""
    config = han.Config.from_json({"precision": precision})
    torch.manual_seed(config.seed)
    training = begin(han.Model(config), han.Loss(config), data, config, han.CARD.task)
    return timed(lambda: loop.train_epoch(training, lambda: None))[0], training


def peak_gb(store: Path, run: Path) -> float:
    """Peak memory of `train.py` in a process of its own."""
    code = (
        "import sys; from models import train; from tests.bench.memory import peak_mb; "
        "train.main(sys.argv[1:]); print('peak', peak_mb())"
    )
    given = ["han", "--features", str(store), "--run", str(run), "--epochs", "1"]
    said = subprocess.run(
        [sys.executable, "-c", code, *given], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    peak = re.search(r"peak ([\d.]+)", said)
    assert peak
    return float(peak[1]) / 1024


def ratios(scoring: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many times longer the plain loop takes for each part and for all of it."""
    slow, fast = scoring["plain"], scoring["ours"]
    whole = sum(slow.values()) / sum(fast.values())
    return {name: round(slow[name] / fast[name], 1) for name in slow} | {"all": round(whole, 1)}


@pytest.mark.bench
def test_epoch_and_scoring_against_a_plain_loop(tmp_path: Path) -> None:
    store = write_tagging_store(
        tmp_path / "store", train=TRAIN, val=0, test=TEST, seconds=10, features=FEATURES,
        parts=44, classes=CLASSES,
    )  # fmt: skip
    events = write_events(store)
    opened, data = timed(lambda: open_clips(store, FEATURES))
    folder = tmp_path / "npy"
    write_files(data, folder)
    report: dict[str, Any] = {"machine": describe(), "seconds_to_open": round(opened, 1)}

    config = han.Config()
    net, loss = plain.EveryFrame(config), han.Loss(config)
    clips = plain_clips(data, "train", folder)
    epoch = {"plain": timed(lambda: plain.train_epoch(net, loss, clips, config))[0]}
    for precision in ("bf16", "fp32"):
        epoch[precision], training = our_epoch(data, precision)

    net.load_state_dict(training.model.state_dict())
    rows, heard = data.rows("test"), plain_clips(data, "test", folder)
    named = events.set_axis(["filename", "modality", "label", "onset", "offset"], axis=1)
    scoring: dict[str, dict[str, float]] = {"plain": {}, "ours": {}}
    scoring["plain"]["predict"], decided = timed(lambda: plain.predict(net, heard))
    scoring["plain"]["score"], expected = timed(lambda: plain.score(decided, heard, named))
    scoring["ours"]["predict"], predicted = timed(
        lambda: predict(training.model, data, rows, config)
    )
    scoring["ours"]["score"], found = timed(lambda: parsing_scores(predicted, data, MODALITIES))
    assert found == pytest.approx(expected, abs=0.5)  # a probability at 0.5 may fall either way
    shutil.rmtree(folder)

    report |= {
        "epoch_seconds": {name: round(seconds, 1) for name, seconds in epoch.items()},
        "epoch_ratio": {name: round(epoch["plain"] / epoch[name], 2) for name in ("fp32", "bf16")},
        "scoring_seconds": scoring,
        "scoring_ratio": ratios(scoring),
        "peak_memory_gb": round(peak_gb(store, tmp_path / "run"), 2),
    }
    (BENCHMARKS / "training.json").write_text(json.dumps(report, indent=1) + "\n")
    assert report["peak_memory_gb"] < 2.2  # 1.0 of it the features
