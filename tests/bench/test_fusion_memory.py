"""`make bench`: the memory of a fusion over as many clips and classes as AudioSet has."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.data.clips import open_clips
from models.tasks import tagging
from schemas import table_schema
from tests.bench.machine import describe
from tests.places import BENCHMARKS, ROOT
from tests.stores.writer import Tables, write_store

CLASSES = tuple(f"Class {number}" for number in range(527))
SPLITS = {"balanced_train": 22_160, "unbalanced_train": 2_041_789, "eval": 20_371}
BEFORE = "5bbdd0e"
"""Commit whose fusion holds all scores at once."""
TENTH = 10
"""At AudioSet's whole size it does not fit this machine, so it is measured at a tenth."""
GOAL_MB = 4096
BLOCK = 2**14
WORDS = ("fusion-attention", "--epochs", "1", "--batch-size", "4096", "--units", "32")
"""A small net: what it computes takes time, not memory."""
TRAIN = (
    "import sys; from models import train; from models.runtime import command_line;"
    "from tests.bench.memory import peak_mb;"
    "status = command_line.run(train.main, sys.argv[1:]); print(peak_mb()); sys.exit(status)"
)


def clips(part: int) -> Iterator[Tables]:
    """Table `clips` of AudioSet's splits, or of a part of them, with one to three labels each."""
    random, schema = np.random.default_rng(0), table_schema("clips")
    for split, whole in SPLITS.items():
        for first in range(0, whole // part, 2**17):
            count = min(2**17, whole // part - first)
            sizes = random.integers(1, 4, count)
            names = pa.array(CLASSES).take(pa.array(random.integers(0, 527, sizes.sum())))
            offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
            keys = [f"{split}{number:07d}_0_10" for number in range(first, first + count)]
            columns: dict[str, Any] = {
                "clip_key": keys, "video_id": keys, "start_s": np.zeros(count),
                "end_s": np.full(count, 10.0), "split": [split] * count,
                "labels": pa.ListArray.from_arrays(offsets, names),
                "n_snippets": np.full(count, 10), "has_audio": np.ones(count, bool),
                "has_video": np.ones(count, bool),
            }  # fmt: skip
            held = [
                pa.array(columns[field.name]).cast(field.type)
                if field.name in columns
                else pa.nulls(count, field.type)
                for field in schema
            ]
            yield {"clips": pa.Table.from_arrays(held, schema=schema)}


def write_scores(store: Path, folder: Path, seed: int) -> None:
    """Write scores of all clips that know a little of their labels."""
    data, random = open_clips(store, ()), np.random.default_rng(seed)
    noise = 0.8 * random.random((BLOCK, len(CLASSES)), np.float32)
    folder.mkdir()

    def parts() -> Iterator[tuple[str, tagging.Tags]]:
        for split in ("test", "train"):
            for rows in data.rows(split).split(BLOCK):  # type: ignore[no-untyped-call]
                turned = np.roll(noise, int(random.integers(BLOCK)), axis=0)[: len(rows)]
                scores = turned + data.labels[rows].numpy().astype(np.float32) * 0.2
                yield split, tagging.Tags(rows=rows, scores=scores)

    tagging.write_tags(folder / "predictions.parquet", data, parts(), np.full(len(CLASSES), 0.95))


def fused(root: Path, name: str, tree: Path = ROOT) -> dict[str, float]:
    """Train and score a fusion in a process of its own: its peak memory, and how long it took."""
    given = ["--features", root / "store", "--run", root / name]
    given += ["--audio-run", root / "audio", "--visual-run", root / "visual"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *WORDS, *map(str, given)], cwd=tree, env=environment,
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {
        "peak_mb": round(float(done.stdout.split()[-1]), 1),
        "seconds": round(time.perf_counter() - started, 1),
    }


def made(root: Path, part: int) -> Path:
    """Write a store of a part of AudioSet's clips and two runs' scores of them."""
    store = write_store(root / "store", clips(part), vocabulary=CLASSES, dataset="audioset")
    for seed, side in enumerate(("audio", "visual")):
        write_scores(store, root / side, seed)
    return root


@pytest.mark.bench
def test_fusion_of_audiosets_size_in_four_gigabytes(tmp_path: Path) -> None:
    tenth = made(tmp_path / "tenth", TENTH)
    old = tmp_path / "before"
    subprocess.run(["git", "worktree", "add", "--detach", old, BEFORE], cwd=ROOT, check=True)
    try:
        found = {"before, a tenth": fused(tenth, "old", old), "after, a tenth": fused(tenth, "new")}
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", old], cwd=ROOT, check=True)
    scores = [
        json.loads((tenth / name / "results.json").read_text())["metrics"]["test"]
        for name in ("old", "new")
    ]
    shutil.rmtree(tenth)
    found["after, AudioSet's size"] = fused(made(tmp_path / "whole", 1), "new")
    shutil.rmtree(tmp_path / "whole")
    report = {
        "what": f"one epoch of {' '.join(WORDS)} with validation, scores of every split, and "
        "predictions of all clips; peak memory of the process (VmHWM). Random scores.",
        "machine": describe(),
        "clips": SPLITS,
        "classes": len(CLASSES),
        "before_commit": BEFORE,
        **found,
        "goal_mb": GOAL_MB,
    }
    (BENCHMARKS / "fusion_memory.json").write_text(json.dumps(report, indent=1) + "\n")
    assert scores[1] == pytest.approx(scores[0], rel=1e-4)
    assert found["after, AudioSet's size"]["peak_mb"] <= GOAL_MB
