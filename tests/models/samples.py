"""Made-up clips: batches, a small feature store with learnable features, numbers by formula."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from models.contract.batch import Batch
from schemas import SCHEMA_VERSION, TABLES, table_schema

CLASSES = ("Dog", "Car", "Speech", "Violin")
WIDTHS = {"vggish": 128, "resnet152": 2048, "r2plus1d": 512}
SECONDS = 10
COUNTS = {"train": 40, "val": 12, "test": 14}

Rows = list[dict[str, Any]]


def make_batch(clips: int = 8, classes: int = 25, seconds: int = SECONDS, seed: int = 0) -> Batch:
    """Made-up clips with at least one label each."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(clips, classes, generator=generator) < 0.2).float()
    labels[torch.arange(clips), torch.arange(clips) % classes] = 1.0
    return Batch(
        features={
            name: torch.rand(clips, seconds, width, generator=generator)
            for name, width in WIDTHS.items()
        },
        present={name: torch.ones(clips, seconds, dtype=torch.bool) for name in WIDTHS},
        labels=labels,
        progress=0.5,
    )


class StoreWriter:
    """Rows of a store before they are written, so that a test can spoil them first."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.clips: Rows = []
        self.snippets: Rows = []
        self.events: Rows = []
        signs = {name: random.random((len(CLASSES), size)) for name, size in WIDTHS.items()}
        for split, count in COUNTS.items():
            for index in range(count):
                self._clip(split, f"{split}{index:02d}_0_10", random, signs)
        self._absent(self.clips[3]["clip_key"], "vggish")  # a clip without sound
        self._absent(self.clips[4]["clip_key"], "resnet152", "r2plus1d")  # one without picture
        self.events = [one for one in self.events if one["clip_key"] != "test00_0_10"]

    def _clip(
        self, split: str, key: str, random: np.random.Generator, signs: dict[str, NDArray[Any]]
    ) -> None:
        spans = {}
        labels: list[str] = []
        for modality in ("audio", "visual"):
            column = int(random.integers(len(CLASSES)))
            start = int(random.integers(0, 6))
            spans[modality] = (column, start, start + int(random.integers(3, 5)))
            labels += [] if CLASSES[column] in labels else [CLASSES[column]]
            if split != "train":
                self.events.append(
                    {
                        "clip_key": key,
                        "modality": modality,
                        "onset_s": float(start),
                        "offset_s": float(spans[modality][2]),
                        "label": CLASSES[column],
                    }
                )
        self.clips.append(
            {
                "clip_key": key, "video_id": key[:-5], "start_s": 0.0, "end_s": 10.0,
                "split": split, "labels": labels, "n_snippets": SECONDS, "has_audio": True,
                "has_video": True,
            }
        )  # fmt: skip
        for second in range(SECONDS):
            row: dict[str, Any] = {
                "clip_key": key, "snippet_index": second, "start_s": float(second), "valid": True
            }  # fmt: skip
            for name, size in WIDTHS.items():
                column, start, stop = spans["audio" if name == "vggish" else "visual"]
                noise = 0.1 * random.random(size)
                row[name] = (signs[name][column] * (start <= second < stop) + noise).tolist()
            self.snippets.append(row)

    def _absent(self, key: str, *names: str) -> None:
        for row in self.snippets:
            if row["clip_key"] == key:
                row.update(dict.fromkeys(names))

    def write(self, root: Path, parts: int = 3, **changes: Any) -> Path:
        """Write the store; `changes` replace entries of its manifest."""
        tables: dict[str, list[str]] = {name: [] for name in TABLES}
        contents = {"clips": self.clips, "snippets": self.snippets, "events": self.events}
        for name, rows in contents.items():
            for index in range(parts):
                path = root / name / f"part-{index:06d}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                cut = [len(rows) * edge // parts for edge in (index, index + 1)]
                pq.write_table(_arrow(name, rows[slice(*cut)]), path)
                tables[name].append(str(path.relative_to(root)))
        keys = sorted(row["clip_key"] for row in self.clips)
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "dataset": "demo",
            "recipe": {"name": "llp-eccv20", "hash": "0" * 12, "weights": "seeded:0",
                       "resnet152_frames": "mean"},
            "tables": tables,
            "counts": {"clips_in": len(keys), "clips_done": len(keys), "clips_failed": 0},
            "provenance": {},
            "subset_id": hashlib.sha256("\n".join(keys).encode()).hexdigest()[:12],
            "vocabulary": list(CLASSES),
            "n_seconds": SECONDS,
            "settings": {},
        }  # fmt: skip
        (root / "manifest.json").write_text(json.dumps(manifest | changes))
        return root


def _arrow(name: Any, rows: Rows) -> pa.Table:
    schema = table_schema(name)
    return pa.table({one.name: _column(one, rows) for one in schema}, schema=schema)


def _column(kind: pa.Field, rows: Rows) -> pa.Array:
    return pa.array([row.get(kind.name) for row in rows], kind.type)


def by_formula(index: int, shape: torch.Size, scale: float, offset: float = 0.0) -> torch.Tensor:
    """Low-discrepancy numbers offset - scale .. offset + scale that golden files are made from."""
    place = np.arange(int(np.prod(shape)), dtype=np.float64)
    hashed = (place * 0.6180339887498949 + (index + 1) * 0.7548776662466927) % 1.0
    values = (offset + scale * (2 * hashed - 1)).astype(np.float32)
    return torch.from_numpy(values).reshape(shape)


def fill_by_formula(model: torch.nn.Module, names: list[str]) -> None:
    """Set every weight to its number in the golden file; `names` fixes the index of each."""
    state = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        scale, offset = 0.2, 0.0
        if value.ndim == 2:
            scale = 3 / np.sqrt(value.shape[1]) * 0.577
        elif (name.endswith(".weight") and "norm" in name) or name.endswith("running_var"):
            scale, offset = 0.3, 1.0
        state[name] = by_formula(names.index(name), value.shape, scale, offset)
    model.load_state_dict(state, strict=False)


def formula_batch(labels: torch.Tensor, dtype: torch.dtype = torch.float64) -> Batch:
    """The golden files' inputs: three clips, frames one by one."""
    features = {
        "vggish": by_formula(100, torch.Size((3, 10, 128)), 1.0),
        "resnet152": by_formula(101, torch.Size((3, 80, 2048)), 0.5, 0.5).reshape(3, 10, 8, 2048),
        "r2plus1d": by_formula(102, torch.Size((3, 10, 512)), 0.5, 0.5),
    }
    return Batch(
        features={name: values.to(dtype) for name, values in features.items()},
        present={name: torch.ones(3, 10, dtype=torch.bool) for name in features},
        labels=labels.to(dtype),
    )
