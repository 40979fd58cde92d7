"""Memory that training on bags of boxes takes: 100 boxes a clip, streamed, within 3 GB.

EARSIGHT_BAGS is how many clips the made-up store has, 2,000 unless it is said; 50,000 are 20 GB on
disk, about as many as DCASE 2017 has.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from schemas import table_schema, tensor_array
from tests.bench.machine import describe
from tests.places import BENCHMARKS, ROOT
from tests.stores.bags import BAG_RECIPE
from tests.stores.parsing import CLASSES
from tests.stores.writer import Tables, clip_row, to_table, write_store

CLIPS, BOXES = int(os.environ.get("EARSIGHT_BAGS") or 2000), 100
A_UNIT = 25
RECIPE = BAG_RECIPE.with_(proposals_type="float16")
SPLITS = ("train", "train", "train", "val", "test")


def write_boxes(root: Path) -> Path:
    """Write a store with the tables of clips and proposals alone."""
    random = np.random.default_rng(0)
    features = random.random((A_UNIT * BOXES, 2048), np.float32)
    units = np.array_split(np.arange(CLIPS), CLIPS // A_UNIT)
    parts = (
        boxes_of(clips, np.roll(features, number, axis=1)) for number, clips in enumerate(units)
    )
    return write_store(root, parts, vocabulary=CLASSES, recipe=RECIPE)


def boxes_of(clips: NDArray[np.int64], features: NDArray[np.float32]) -> Tables:
    """Return one part: clips and their boxes."""
    schema = table_schema("proposals", RECIPE)
    rows = [
        clip_row(f"clip{row:06d}_0_10", 10, SPLITS[row % 5], [CLASSES[row % 4]]) for row in clips
    ]
    count = len(clips) * BOXES
    second = np.tile(np.repeat(np.arange(10, dtype=np.int32), BOXES // 10), len(clips))
    columns = {
        "clip_key": np.repeat([row["clip_key"] for row in rows], BOXES).tolist(),
        "snippet_index": second, "frame_index": 8 * second,
        "rank": np.tile(np.arange(BOXES, dtype=np.int32), len(clips)),
        **{edge: np.zeros(count, np.float32) for edge in ("x0", "y0", "x1", "y1", "score")},
        "feature": tensor_array(features[:count], np.ones(count, bool), schema.field("feature")),
    }  # fmt: skip
    boxes = pa.table({name: columns[name] for name in schema.names}, schema=schema)
    return {"clips": to_table("clips", rows), "proposals": boxes}


@pytest.mark.bench
def test_training_on_many_boxes_stays_within_three_gigabytes(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "store")
    command = [
        "models/train.py", "two_stream-video", "--epochs", "1", "--stream", "yes",
        "--precision", "auto", "--features", str(root), "--run", str(tmp_path / "run"),
    ]  # fmt: skip
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    held = sum(path.stat().st_size for path in (root / "proposals").iterdir())
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    report = {
        "machine": describe(), "clips": CLIPS, "boxes_each": BOXES,
        "store_gb": round(held / 1e9, 2),
        "peak_memory_gb": round(peak / 1e9, 2), "clips_scored": results["features"]["clips"],
    }  # fmt: skip
    (BENCHMARKS / "bags.json").write_text(json.dumps(report, indent=1) + "\n")
    assert peak < 3e9
