"""`make bench`: the memory of a fusion over as many clips and classes as AudioSet has."""

import json
import os
import subprocess
import sys
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
GOAL_MB = 4096
NAME = "predictions.parquet"
BLOCK = 2**14
WORDS = ("fusion-attention", "--epochs", "1", "--batch-size", "4096", "--units", "32")
"""A small net: what it computes takes time, not memory."""
TRAIN = (
    "import sys; from models import train; from models.runtime import command_line;"
    "from tests.bench.memory import peak_mb;"
    "status = command_line.run(train.main, sys.argv[1:]); print(peak_mb()); sys.exit(status)"
)


def clips() -> Iterator[Tables]:
    """Table `clips` of AudioSet's splits, with one to three labels each."""
    random, schema = np.random.default_rng(0), table_schema("clips")
    for split, whole in SPLITS.items():
        for first in range(0, whole, 2**17):
            count = min(2**17, whole - first)
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


def write_scores(store: Path, folder: Path) -> None:
    """Write scores of all clips that know a little of their labels."""
    data, random = open_clips(store, ()), np.random.default_rng(0)
    noise = 0.8 * random.random((BLOCK, len(CLASSES)), np.float32)
    folder.mkdir()

    def parts() -> Iterator[tuple[str, tagging.Tags]]:
        for split in ("test", "train"):
            for rows in data.rows(split).split(BLOCK):  # type: ignore[no-untyped-call]
                turned = np.roll(noise, int(random.integers(BLOCK)), axis=0)[: len(rows)]
                scores = turned + data.labels[rows].numpy().astype(np.float32) * 0.2
                yield split, tagging.Tags(rows=rows, scores=scores)

    tagging.write_tags(folder / NAME, data, parts(), np.full(len(CLASSES), 0.95))


def peak_of_a_fusion(root: Path) -> float:
    """Train and score a fusion in a process of its own; return its peak memory in MB."""
    given = ["--features", root / "store", "--run", root / "run"]
    given += ["--audio-run", root / "audio", "--visual-run", root / "visual"]
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *WORDS, *map(str, given)], cwd=ROOT, check=True,
        capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return round(float(done.stdout.split()[-1]), 1)


@pytest.mark.bench
def test_fusion_of_audiosets_size_in_four_gigabytes(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", clips(), vocabulary=CLASSES, dataset="audioset")
    write_scores(store, tmp_path / "audio")
    (tmp_path / "visual").mkdir()
    os.link(tmp_path / "audio" / NAME, tmp_path / "visual" / NAME)
    peak = peak_of_a_fusion(tmp_path)
    written = (tmp_path / "run" / NAME).stat().st_size
    report = {
        "what": f"one epoch of {' '.join(WORDS)} with validation, scores of every split, and "
        "predictions of all clips; peak memory of the process (VmHWM). Made-up scores, the same "
        "for both nets.",
        "machine": describe(),
        "clips": SPLITS,
        "classes": len(CLASSES),
        "scores_of_a_net_in_memory_mb": round(4 * len(CLASSES) * sum(SPLITS.values()) / 2**20),
        "peak_mb": peak,
        "predictions_mb": round(written / 2**20),
        "goal_mb": GOAL_MB,
    }
    (BENCHMARKS / "fusion_memory.json").write_text(json.dumps(report, indent=1) + "\n")
    for side in ("audio", "visual", "run"):
        (tmp_path / side / NAME).unlink()  # 4 GB each, which pytest would keep
    assert peak <= GOAL_MB
