"""Memory that training on bags of boxes takes: 500 clips with 100 boxes each, within 2 GB."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from schemas import table_schema, tensor_array
from tests.places import ROOT
from tests.stores.bags import BAG_RECIPE
from tests.stores.parsing import CLASSES
from tests.stores.writer import Tables, clip_row, to_table, write_store

CLIPS, BOXES = 500, 100
SPLITS = ("train", "train", "train", "val", "test")


def write_boxes(root: Path) -> Path:
    """Write a store with the tables of clips and proposals alone."""
    random = np.random.default_rng(0)
    parts = (boxes_of(clips, random) for clips in np.array_split(np.arange(CLIPS), 20))
    return write_store(root, parts, vocabulary=CLASSES, recipe=BAG_RECIPE)


def boxes_of(clips: NDArray[np.int64], random: np.random.Generator) -> Tables:
    """Return one part: clips and their boxes."""
    schema = table_schema("proposals")
    rows = [
        clip_row(f"clip{row:03d}_0_10", 10, SPLITS[row % 5], [CLASSES[row % 4]]) for row in clips
    ]
    count = len(clips) * BOXES
    second = np.tile(np.repeat(np.arange(10, dtype=np.int32), BOXES // 10), len(clips))
    columns = {
        "clip_key": np.repeat([row["clip_key"] for row in rows], BOXES).tolist(),
        "snippet_index": second, "frame_index": 8 * second,
        "rank": np.tile(np.arange(BOXES, dtype=np.int32), len(clips)),
        **{edge: np.zeros(count, np.float32) for edge in ("x0", "y0", "x1", "y1", "score")},
        "feature": tensor_array(
            random.random((count, 2048), np.float32), np.ones(count, bool), schema.field("feature")
        ),
    }  # fmt: skip
    boxes = pa.table({name: columns[name] for name in schema.names}, schema=schema)
    return {"clips": to_table("clips", rows), "proposals": boxes}


@pytest.mark.bench
def test_training_on_many_boxes_stays_within_two_gigabytes(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "store")
    command = ["models/train.py", "two_stream-video", "--epochs", "2", "--features", str(root)]
    subprocess.run([sys.executable, *command, "--run", str(tmp_path / "run")], cwd=ROOT, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    sys.stdout.write(f"peak memory of training: {peak / 2**30:.2f} GB\n")
    assert peak < 2 * 2**30
