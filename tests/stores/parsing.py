"""A small store for models that parse: each clip has something to hear and something to see."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import TableName
from tests.stores import writer

CLASSES = ("Dog", "Car", "Speech", "Violin")
WIDTHS = {"vggish": 128, "resnet152": 2048, "r2plus1d": 512}
RECIPE = writer.RECIPE.with_(extractors=tuple(WIDTHS))
SECONDS = 10
COUNTS = {"train": 40, "val": 12, "test": 14}

Rows = list[dict[str, Any]]


class ParsingRows:
    """Rows of a store before they are written, so that a test can spoil them first.

    A feature is the pattern of its class in the seconds of the event, and a little noise always.
    Clip 3 has no sound, clip 4 no picture; the first clip of test has no event.
    """

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.clips: Rows = []
        self.snippets: Rows = []
        self.events: Rows = []
        patterns = {name: random.random((len(CLASSES), size)) for name, size in WIDTHS.items()}
        for split, count in COUNTS.items():
            for index in range(count):
                self._add_clip(split, f"{split}{index:02d}_0_10", random, patterns)
        self._leave_out(self.clips[3], "has_audio", "vggish")
        self._leave_out(self.clips[4], "has_video", "resnet152", "r2plus1d")
        self.events = [event for event in self.events if event["clip_key"] != "test00_0_10"]

    def _add_clip(
        self, split: str, key: str, random: np.random.Generator, patterns: dict[str, NDArray[Any]]
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
                        "clip_key": key, "modality": modality, "onset_s": float(start),
                        "offset_s": float(spans[modality][2]), "label": CLASSES[column],
                    }
                )  # fmt: skip
        self.clips.append(writer.clip_row(key, SECONDS, split, labels) | {"video_id": key[:-5]})
        for second in range(SECONDS):
            row: dict[str, Any] = {
                "clip_key": key, "snippet_index": second, "start_s": float(second), "valid": True
            }  # fmt: skip
            for name, size in WIDTHS.items():
                column, start, stop = spans["audio" if name == "vggish" else "visual"]
                noise = 0.1 * random.random(size)
                values = patterns[name][column] * (start <= second < stop) + noise
                row[name] = values.astype(np.float32)
            self.snippets.append(row)

    def _leave_out(self, clip: dict[str, Any], flag: str, *features: str) -> None:
        clip[flag] = False
        for row in self.snippets:
            if row["clip_key"] == clip["clip_key"]:
                row.update(dict.fromkeys(features))

    def write(
        self, root: Path, parts: int = 3, *, more: Mapping[TableName, Rows] | None = None,
        dataset: str = "demo", **changes: Any,
    ) -> Path:  # fmt: skip
        """Write the store with `more` tables; `changes` as `write_store` takes them."""
        rows: dict[TableName, Rows] = {
            "clips": self.clips, "snippets": self.snippets, **(more or {})
        }  # fmt: skip
        events = writer.to_table("events", self.events)
        changes = {"vocabulary": CLASSES, "recipe": RECIPE, **changes}
        return writer.write_store(
            root, writer.split_by_clip(rows, parts), dataset=dataset, events=events, **changes
        )
