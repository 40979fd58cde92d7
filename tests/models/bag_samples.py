"""Made-up bags of instances: batches, and tables of instances for a small store."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from models.contract.batch import Batch
from models.data.bags import BAGS
from schemas import table_schema
from tests.models.samples import CLASSES, SECONDS, StoreWriter

INSTANCES = {"segments": (19, 128), "proposals": (20, 2048), "components": (6, 128)}
FULL_RECIPE = {
    "name": "llp-eccv20", "version": 1, "extractors": ["segments", "proposals", "ncp"],
    "weights": "seeded:0", "precision": "fp32",
}  # fmt: skip


def bag_batch(clips: int = 8, classes: int = 5, seed: int = 0) -> Batch:
    """Bags with every class in some clip; the last clip has no boxes, bags differ in size."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(clips, classes, generator=generator) < 0.3).float()
    labels[torch.arange(clips), torch.arange(clips) % classes] = 1.0
    features = {
        name: torch.rand(clips, *shape, generator=generator) for name, shape in INSTANCES.items()
    }
    present = {
        name: torch.arange(shape[0]) < shape[0] - torch.arange(clips)[:, None] % 3
        for name, shape in INSTANCES.items()
    }
    present["proposals"][-1] = False
    features["logmel"] = torch.randn(clips, SECONDS, 100, 64, generator=generator)
    present["logmel"] = torch.ones(clips, SECONDS, dtype=torch.bool)
    return Batch(features=features, present=present, labels=labels, progress=0.5)


def add_bags(root: Path, seed: int = 0, without_boxes: str = "", boxes: int = 2) -> Path:
    """Add tables of instances to a store: one class is in some boxes, stretches and components.

    Boxes that show the class of a clip are in its left upper quarter, all others on the right.
    """
    random = np.random.default_rng(seed)
    manifest = json.loads((root / "manifest.json").read_text())
    signs = {name: random.random((len(CLASSES), shape[1])) for name, shape in INSTANCES.items()}
    clips = [
        row
        for path in manifest["tables"]["clips"]
        for row in pq.read_table(root / path).to_pylist()
    ]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in BAGS}
    for clip in clips:
        column = CLASSES.index(clip["labels"][0])
        key = clip["clip_key"]
        for index in range(INSTANCES["segments"][0]):
            sign = signs["segments"][column] * (5 <= index < 10)
            rows["segments"].append(
                {"clip_key": key, "segment_index": index, "start_s": 0.48 * index,
                 "vggish": (sign + 0.2 * random.random(128)).tolist()}
            )  # fmt: skip
        for index in range(INSTANCES["components"][0]):
            sign = signs["components"][column] * (index < 2)
            rows["components"].append(
                {"clip_key": key, "component_index": index, "w": [0.5, 0.5],
                 "h": [1.0, 2.0, 3.0], "vggish": (sign + 0.2 * random.random(128)).tolist()}
            )  # fmt: skip
        for second in range(0 if key == without_boxes else SECONDS):
            for rank in range(boxes):
                shows = rank == second % 2
                sign = signs["proposals"][column] * shows
                edges = (0.1, 0.1, 0.4, 0.4) if shows else (0.6, 0.1, 0.9, 0.9)
                rows["proposals"].append(
                    {"clip_key": key, "snippet_index": second, "frame_index": 8 * second + 4,
                     "rank": rank, **dict(zip(("x0", "y0", "x1", "y1"), edges, strict=True)),
                     "score": 0.1, "feature": (sign + 0.2 * random.random(2048)).tolist()}
                )  # fmt: skip
    for name, lines in rows.items():
        schema = table_schema(name)  # type: ignore[arg-type]
        for part in range(2):
            cut = lines[part * len(lines) // 2 : (part + 1) * len(lines) // 2]
            path = root / name / f"part-{part}.parquet"
            path.parent.mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist(cut, schema=schema), path)
            manifest["tables"][name] = [
                *manifest["tables"].get(name, []),
                f"{name}/part-{part}.parquet",
            ]
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


def bag_store(root: Path, **options: Any) -> Path:
    """A store of 66 clips with every table of instances."""
    return add_bags(StoreWriter().write(root, recipe=FULL_RECIPE), **options)
