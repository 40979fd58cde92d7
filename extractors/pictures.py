"""Walking the frames of a clip once, second by second, for any number of picture extractors.

Frames may be costly (a JPEG round trip each), and a clip may be an hour long. So each frame is
asked for once, reduced at once to what each extractor needs of it, and forgotten.

Letters: T seconds, P boxes.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from extractors.base import Extractor, Features, FeatureSpec, NotLoadedError, Precision
from extractors.nets import shared as nets
from schemas.media import ClipMedia, Frames
from schemas.recipe import RECIPES, Recipe

CHUNK_SECONDS = 10
"""Seconds whose reduced frames are held at a time."""
SECONDS_AHEAD = 3
"""Seconds whose whole frames may wait for their reduction, so that one slow frame stops no core."""


class PictureExtractor(ABC):
    """An extractor whose rows need the frames of one second only."""

    spec: FeatureSpec
    net_name: nets.NetName

    def __init__(self, recipe: Recipe = RECIPES["llp-eccv20"]) -> None:
        self.recipe = recipe
        self._net: nets.Net | None = None

    @property
    def net(self) -> nets.Net:
        """The loaded net."""
        if self._net is None:
            raise NotLoadedError(self.spec.name)
        return self._net

    @property
    def provenance(self) -> Mapping[str, str]:
        """sha256 of each weight file, or `seeded:<n>`."""
        return {} if self._net is None else self._net.provenance

    def load(
        self,
        device: str = "cpu",
        weights: str = "pretrained",
        *,
        weights_dir: Path | None = None,
        precision: Precision = "fp32",
    ) -> Extractor:
        """See `Extractor.load`."""
        self._net = nets.shared_net(
            self.net_name, weights, device, weights_dir=weights_dir, precision=precision
        )
        return self

    def extract(self, media: ClipMedia) -> Features | None:
        """Features of one clip, None without picture."""
        return extract_together({self.spec.name: self}, media)[self.spec.name]

    def places(self, per_snippet: int) -> Sequence[int]:
        """Which frames of a second are needed."""
        return range(per_snippet)

    @abstractmethod
    def reduce(self, frame: NDArray[np.uint8]) -> Any:
        """Keep of a frame [H, W, 3] what `compute` needs; called from several threads."""

    @abstractmethod
    def compute(self, seconds: Sequence[Sequence[Any]]) -> Any:
        """Rows of some consecutive seconds, each a sequence of reduced frames."""

    @abstractmethod
    def join(self, parts: Sequence[Any], media: ClipMedia) -> Features:
        """All rows of the clip out of what `compute` gave, in order; checked to be finite."""


Timed = Callable[[str], AbstractContextManager[None]]


def untimed(stage: str) -> AbstractContextManager[None]:
    """Surround a stage with nothing."""
    return nullcontext()


def extract_together(
    extractors: Mapping[str, Extractor], media: ClipMedia, timed: Timed = untimed
) -> dict[str, Features | None]:
    """Run several loaded extractors on one clip, asking for each frame once.

    The results equal those of each `extract` by itself, bit by bit. `timed(stage)` surrounds the
    work of each extractor, under its name, and the reading of frames, under `frames`.
    """
    pictures = {k: e for k, e in extractors.items() if isinstance(e, PictureExtractor)}
    out: dict[str, Features | None] = dict.fromkeys(extractors)
    for name in extractors.keys() - pictures.keys():
        with timed(name):
            out[name] = extractors[name].extract(media)
    if media.frames is None or not pictures:
        return out
    parts: dict[str, list[Any]] = {name: [] for name in pictures}
    with ThreadPoolExecutor(thread_name_prefix="reduce") as pool:
        for start in range(0, media.n_snippets, CHUNK_SECONDS):
            stop = min(start + CHUNK_SECONDS, media.n_snippets)
            with timed("frames"):
                held = _reduced(pictures, media.frames, range(start, stop), media.per_snippet, pool)
            for name, extractor in pictures.items():
                with timed(name):
                    parts[name].append(extractor.compute(held[name]))
    return out | {name: e.join(parts[name], media) for name, e in pictures.items()}


def _reduced(
    pictures: Mapping[str, PictureExtractor],
    frames: Frames,
    seconds: range,
    per_snippet: int,
    pool: ThreadPoolExecutor,
) -> dict[str, list[list[Any]]]:
    """Reduced frames of some seconds by extractor; whole frames of a few seconds live at a time."""
    held: dict[str, list[list[Any]]] = {name: [] for name in pictures}
    waiting: deque[dict[str, list[Future[Any]]]] = deque()

    def settle(most: int) -> None:
        while len(waiting) > most:
            for name, futures in waiting.popleft().items():
                held[name].append([future.result() for future in futures])

    for second in seconds:
        whole = {
            place: frames[second * per_snippet + place]
            for place in sorted({p for e in pictures.values() for p in e.places(per_snippet)})
        }
        waiting.append(
            {
                name: [pool.submit(e.reduce, whole[place]) for place in e.places(per_snippet)]
                for name, e in pictures.items()
            }
        )
        settle(SECONDS_AHEAD)
    settle(0)
    return held


def resized(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Frame [H, W, 3] at another size, as PIL does it: bilinear, antialiased."""
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))


def scaled_size(frame: NDArray[np.uint8], shorter: int) -> tuple[int, int]:
    """Width and height when the shorter side becomes `shorter` and the longer one is floored."""
    height, width = frame.shape[:2]
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Consecutive runs of `size` items, the last one perhaps shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
