"""A small store with tables of instances: windows of sound, components of sound, boxes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import TableName
from tests.stores.parsing import CLASSES, RECIPE, SECONDS, WIDTHS, ParsingRows, Rows

Pattern = NDArray[np.floating[Any]]

INSTANCES = {"segments": (19, 128), "proposals": (20, 2048), "components": (6, 128)}
"""Instances per clip and their width."""

BAG_RECIPE = RECIPE.with_(extractors=(*WIDTHS, "segments", "proposals", "ncp"))


def write_bag_store(root: Path, **options: Any) -> Path:
    """Write a store of 66 clips with every table of instances; options as `bag_rows`."""
    rows = ParsingRows()
    return rows.write(root, recipe=BAG_RECIPE, more=bag_rows(rows.clips, **options))


def bag_rows(
    clips: Rows, seed: int = 0, without_boxes: str = "", boxes: int = 2
) -> dict[TableName, Rows]:
    """Return instances of which some show the first class of their clip.

    These are windows 5 to 9, the first two components, and in each second one of the boxes, the one
    in the left upper quarter; all other boxes are on the right.
    """
    random = np.random.default_rng(seed)
    patterns = {name: random.random((len(CLASSES), shape[1])) for name, shape in INSTANCES.items()}
    rows: dict[TableName, Rows] = {"segments": [], "components": [], "proposals": []}
    for clip in clips:
        key, column = clip["clip_key"], CLASSES.index(clip["labels"][0])
        pattern = {name: patterns[name][column] for name in INSTANCES}
        rows["segments"] += [
            {"clip_key": key, "segment_index": index, "start_s": 0.48 * index,
             "vggish": _noisy(pattern["segments"], 5 <= index < 10, random)}
            for index in range(INSTANCES["segments"][0])
        ]  # fmt: skip
        rows["components"] += [
            {"clip_key": key, "component_index": index, "w": [0.5, 0.5], "h": [1.0, 2.0, 3.0],
             "vggish": _noisy(pattern["components"], index < 2, random)}
            for index in range(INSTANCES["components"][0])
        ]  # fmt: skip
        rows["proposals"] += [
            _box(key, second, rank, pattern["proposals"], random)
            for second in range(0 if key == without_boxes else SECONDS)
            for rank in range(boxes)
        ]
    return rows


def _box(
    key: str, second: int, rank: int, pattern: Pattern, random: np.random.Generator
) -> dict[str, Any]:
    shows = rank == second % 2
    edges = (0.1, 0.1, 0.4, 0.4) if shows else (0.6, 0.1, 0.9, 0.9)
    return {
        "clip_key": key, "snippet_index": second, "frame_index": 8 * second + 4, "rank": rank,
        **dict(zip(("x0", "y0", "x1", "y1"), edges, strict=True)), "score": 0.1,
        "feature": _noisy(pattern, shows, random),
    }  # fmt: skip


def _noisy(pattern: Pattern, shows: bool, random: np.random.Generator) -> Pattern:
    return (pattern * shows + 0.2 * random.random(len(pattern))).astype(np.float32)
