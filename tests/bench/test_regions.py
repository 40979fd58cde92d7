"""`make bench`: where region proposals are, on drawn frames of three demo worlds and on real ones.

How many objects are found at IoU 0.5 and 0.7, and how much of the frame is covered, against the
number of regions. Minutes on one core; no store and no training is needed. Contact sheets of real
clips go to `out/regions`, because the clips are not ours to publish.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from extractors.proposals import CANDIDATES, SEARCH_SIDE, reduced
from extractors.regions.choice import spread_boxes
from extractors.regions.edgeboxes import BEST, SPREAD, EdgeBoxesSettings, edge_boxes
from extractors.regions.selective_search import selective_search
from models.applications.localisation import overlap
from pipelines.demo import DemoOptions
from pipelines.demo.scene import plan_scene
from pipelines.demo.video import render_video
from schemas.demo import FRAME_RATE
from schemas.page import palette
from schemas.recipe import RECIPES
from tests.bench.machine import describe
from tests.places import BENCHMARKS, ROOT

SEEDS, CLIPS, SECONDS = (1, 2, 3), 14, (2, 7)
COUNTS = (5, 10, 20, 50)
RECIPE = RECIPES["llp-eccv20"]
Image = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Finder = Callable[[Image], Callable[[int], Boxes]]
"""From a frame to its regions by their number, so that candidates are sought once."""


def best(frame: Image) -> Callable[[int], Boxes]:
    """The boxes of the highest score, as before there was a choice."""
    boxes, _ = edge_boxes(reduced(frame, SEARCH_SIDE), max(COUNTS), BEST)
    return lambda count: boxes[:count]


def spread(
    overlap: float = RECIPE.proposals_overlap, settings: EdgeBoxesSettings = SPREAD
) -> Finder:
    """Boxes spread over sizes."""

    def find(frame: Image) -> Callable[[int], Boxes]:
        boxes, score = edge_boxes(reduced(frame, SEARCH_SIDE), CANDIDATES, settings)
        return lambda count: spread_boxes(boxes, score, count, overlap)[0]

    return find


def searched(frame: Image) -> Callable[[int], Boxes]:
    """Boxes of selective search, spread over sizes."""
    boxes, score = selective_search(reduced(frame, SEARCH_SIDE), CANDIDATES)
    return lambda count: spread_boxes(boxes, score, count, RECIPE.proposals_overlap)[0]


FINDERS: dict[str, Finder] = {
    "best, as before": best,
    "spread": spread(),
    "spread, overlap 0.5": spread(0.5),
    "spread, overlap 0.7": spread(0.7),
    "spread, strength 0.25": spread(settings=replace(SPREAD, strength=0.25)),
    "spread, power 1.5": spread(settings=replace(SPREAD, perimeter_power=1.5)),
    "selective search": searched,
}
"""What is compared, by the name in the table."""


def drawn(seed: int) -> Iterator[tuple[Image, Boxes]]:
    """Frames of a demo world in which objects are at least half visible, with their boxes."""
    options = DemoOptions(clips=CLIPS, seed=seed)
    for number in range(CLIPS):
        planes, boxes = render_video(options, plan_scene(options, number))
        for index in (second * FRAME_RATE + FRAME_RATE // 2 for second in SECONDS):
            true = [
                (box.x0, box.y0, box.x1, box.y1)
                for box in boxes
                if box.frame_index == index and box.visible_share >= 0.5
            ]
            if true:
                frame = cv2.cvtColor(planes[index], cv2.COLOR_YUV2RGB_I420)
                yield np.asarray(frame, np.uint8), np.array(true, np.float32)


def covered(boxes: Boxes, cells: int = 48) -> float:
    """Share of the frame that lies in some box other than the whole frame."""
    parts = boxes[(boxes != (0, 0, 1, 1)).any(axis=1)]
    middle = (np.arange(cells) + 0.5) / cells
    across = (middle >= parts[:, :1]) & (middle < parts[:, 2:3])
    down = (middle >= parts[:, 1:2]) & (middle < parts[:, 3:])
    return float((down[:, :, None] & across[:, None]).any(axis=0).mean())


def of_frames(find: Finder, frames: list[tuple[Image, Boxes]]) -> dict[str, dict[str, float]]:
    """Recall, coverage, median area and milliseconds by number of regions."""
    rows = {}
    started = time.monotonic()
    regions = [find(frame) for frame, _ in frames]
    spent = (time.monotonic() - started) / len(frames)
    for count in COUNTS:
        found = [own(count) for own in regions]
        reached = [
            overlap(own, true).max(axis=0)
            for own, (_, true) in zip(found, frames, strict=True)
            if len(true)
        ]
        areas = np.concatenate([np.prod(own[:, 2:] - own[:, :2], axis=1) for own in found])
        rows[str(count)] = {
            "covered": round(float(np.median([covered(own) for own in found])), 3),
            "median_area": round(float(np.median(areas)), 3),
            "milliseconds": round(1000 * spent, 1),
        }
        for cut in (0.5, 0.7) if reached else ():
            rows[str(count)][f"recall_{cut}"] = float((np.concatenate(reached) >= cut).mean())
    return rows


def mean_and_spread(values: list[float]) -> list[float]:
    """Mean and standard deviation over the worlds."""
    return [round(float(np.mean(values)), 3), round(float(np.std(values)), 3)]


def record(name: str, value: Any) -> None:
    """Put one result into docs/benchmarks/regions.json."""
    path = BENCHMARKS / "regions.json"
    known = json.loads(path.read_text()) if path.exists() else {"machine": describe()}
    path.write_text(json.dumps(known | {name: value}, indent=1) + "\n")


@pytest.mark.bench
def test_recall_against_number_of_regions() -> None:
    worlds = [list(drawn(seed)) for seed in SEEDS]
    table = {}
    for name, find in FINDERS.items():
        found = [of_frames(find, frames) for frames in worlds]
        table[name] = {
            count: {
                score: mean_and_spread([one[count][score] for one in found])
                for score in found[0][count]
            }
            for count in found[0]
        }
    record("drawn_frames", [len(frames) for frames in worlds])
    record("drawn", table)
    shown = [frames[index] for frames in worlds for index in (0, 3)]
    contact_sheet(shown, BENCHMARKS / "regions.png")
    before, now = table["best, as before"]["10"], table["spread"]["10"]
    assert now["recall_0.5"][0] > before["recall_0.5"][0]
    assert now["covered"][0] > 2 * before["covered"][0]


@pytest.mark.bench
def test_coverage_of_real_frames() -> None:
    folder = Path(os.environ.get("EARSIGHT_SHARED", ROOT.parent / "shared")) / "clips" / "labelled"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    frames: list[tuple[Image, Boxes]] = []
    for path in sorted(folder.glob("*.mp4")):
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % 150 == 75:
                    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    frames.append((image, np.zeros((0, 4), np.float32)))
    chosen = ("best, as before", "spread", "selective search")
    record("real_frames", len(frames))
    record("real", {name: of_frames(FINDERS[name], frames) for name in chosen})
    out = ROOT / "out" / "regions"
    out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(frames), 8):
        contact_sheet(frames[start : start + 8], out / f"real-{start:03d}.png")


def contact_sheet(frames: list[tuple[Image, Boxes]], path: Path) -> None:
    """Draw the ten regions of each frame, before above and now below; true boxes are dashed."""
    figure = Figure(figsize=(2.6 * len(frames), 4.4), layout="constrained")
    grid = figure.subplots(2, len(frames), squeeze=False)
    for axes, name in zip(grid, ("best, as before", "spread"), strict=True):
        axes[0].set_ylabel(name)
        for ax, (frame, true) in zip(axes, frames, strict=True):
            ax.imshow(frame)
            ax.set(xticks=[], yticks=[])
            height, width = frame.shape[:2]
            boxes = FINDERS[name](frame)(10)
            styles = ((boxes, palette.SERIES[0], "-"), (true, palette.SERIES[1], "--"))
            for group, colour, style in styles:
                for x0, y0, x1, y1 in group * (width, height, width, height):
                    ax.add_patch(
                        Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color=colour, ls=style)
                    )
    figure.savefig(path, dpi=70, metadata={"Software": None})
