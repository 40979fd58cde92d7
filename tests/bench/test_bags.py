"""Memory that training on bags of boxes takes: 500 clips with 100 boxes each, within 2 GB."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas import table_schema, tensor_array
from tests.models.bag_samples import FULL_RECIPE
from tests.models.samples import CLASSES, StoreWriter
from tests.places import ROOT

CLIPS, BOXES = 500, 100


def write_store(root: Path) -> Path:
    """A store with the table of proposals alone."""
    writer = StoreWriter()
    writer.snippets, writer.events = [], []
    writer.clips = [
        {**writer.clips[0], "clip_key": f"clip{row:03d}_0_10", "labels": [CLASSES[row % 4]],
         "split": ("train", "train", "train", "val", "test")[row % 5]}
        for row in range(CLIPS)
    ]  # fmt: skip
    writer.write(root, recipe=FULL_RECIPE)
    manifest = json.loads((root / "manifest.json").read_text())
    schema = table_schema("proposals")
    random = np.random.default_rng(0)
    (root / "proposals").mkdir(exist_ok=True)
    for part, clips in enumerate(np.array_split(np.arange(CLIPS), 20)):
        count = len(clips) * BOXES
        second = np.tile(np.repeat(np.arange(10, dtype=np.int32), BOXES // 10), len(clips))
        columns = {
            "clip_key": np.repeat([f"clip{row:03d}_0_10" for row in clips], BOXES).tolist(),
            "snippet_index": second, "frame_index": 8 * second, "rank": second,
            **{edge: np.zeros(count, np.float32) for edge in ("x0", "y0", "x1", "y1", "score")},
            "feature": tensor_array(
                random.random((count, 2048), np.float32), np.ones(count, bool),
                schema.field("feature"),
            ),
        }  # fmt: skip
        name = f"proposals/part-{part}.parquet"
        table = pa.table({one.name: columns[one.name] for one in schema}, schema=schema)
        pq.write_table(table, root / name)
        manifest["tables"]["proposals"] = [*manifest["tables"].get("proposals", []), name]
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


@pytest.mark.bench
def test_training_on_many_boxes_stays_within_two_gigabytes(tmp_path: Path) -> None:
    root = write_store(tmp_path / "store")
    command = ["models/train.py", "two_stream-video", "--epochs", "2", "--features", str(root)]
    subprocess.run([sys.executable, *command, "--run", str(tmp_path / "run")], cwd=ROOT, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    sys.stdout.write(f"peak memory of training: {peak / 2**30:.2f} GB\n")
    assert peak < 2 * 2**30
