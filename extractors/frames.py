"""Frames of a clip, prepared for nets: walked once, second by second, for several extractors.

Frames may be costly (a JPEG round trip each), and a clip may be an hour long. So each frame is
asked for once, reduced at once to what each extractor needs of it, and forgotten.

Letters: T seconds, P boxes.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from extractors.base import Extractor, Features, LoadOptions, NotLoadedError
from extractors.nets.shared import Net, shared_net
from extractors.nets.threads import one_thread
from schemas.media import ClipMedia, Frames
from schemas.recipe import RECIPES, Recipe

CHUNK_SECONDS = 10
SECONDS_AHEAD = 3
"""Seconds whose whole frames may wait for their reduction, so that one slow frame stops no core."""


class FrameExtractor(Extractor):
    """An extractor with a net whose rows need the frames of one second only."""

    def __init__(self, recipe: Recipe = RECIPES["llp-eccv20"]) -> None:
        super().__init__(recipe)
        self._net: Net | None = None

    @property
    def net(self) -> Net:
        """The loaded net."""
        if self._net is None:
            raise NotLoadedError(self.name)
        return self._net

    @property
    def provenance(self) -> Mapping[str, str]:
        """sha256 of each weight file, or `seeded:<n>`."""
        return {} if self._net is None else self._net.provenance

    def open(self, options: LoadOptions) -> None:
        """Take the process's one copy of the net."""
        self._net = shared_net(self.spec.net, options)

    def extract(self, media: ClipMedia) -> Features | None:
        """Return the features of one clip, None without video."""
        return extract_together({self.name: self}, media)[self.name]

    def frame_offsets(self, per_snippet: int) -> Sequence[int]:
        """Return which frames of a second are needed."""
        return range(per_snippet)

    @abstractmethod
    def reduce(self, frame: NDArray[np.uint8]) -> Any:
        """Return what `compute` needs of a frame [H, W, 3]; called from several threads."""

    @abstractmethod
    def compute(self, seconds: Sequence[Sequence[Any]]) -> Any:
        """Return the rows of some consecutive seconds, each a sequence of reduced frames."""

    @abstractmethod
    def join(self, parts: Sequence[Any], media: ClipMedia) -> Features:
        """Return all rows of the clip, from what `compute` gave in order; checked to be finite."""


Timed = Callable[[str], AbstractContextManager[None]]


def untimed(stage: str) -> AbstractContextManager[None]:
    """Surround a stage with nothing."""
    return nullcontext()


@one_thread()
def extract_together(
    extractors: Mapping[str, Extractor],
    media: ClipMedia,
    timed: Timed = untimed,
    *,
    chunk_seconds: int = CHUNK_SECONDS,
) -> dict[str, Features | None]:
    """Run several loaded extractors on one clip, asking for each frame once.

    The results equal those of each `extract` by itself, bit by bit. `timed(stage)` surrounds the
    work of each extractor, under its name, and the reading of frames, under `frames`. The reduced
    frames of `chunk_seconds` are held at a time.
    """
    visual = {k: e for k, e in extractors.items() if isinstance(e, FrameExtractor)}
    out: dict[str, Features | None] = dict.fromkeys(extractors)
    for name in extractors.keys() - visual.keys():
        with timed(name):
            out[name] = extractors[name].extract(media)
    if media.frames is None or not visual:
        return out
    parts: dict[str, list[Any]] = {name: [] for name in visual}
    with ThreadPoolExecutor(thread_name_prefix="reduce") as pool:
        for start in range(0, media.n_snippets, chunk_seconds):
            stop = min(start + chunk_seconds, media.n_snippets)
            with timed("frames"):
                held = _reduced(visual, media.frames, range(start, stop), media.per_snippet, pool)
            for name, extractor in visual.items():
                with timed(name):
                    parts[name].append(extractor.compute(held[name]))
    return out | {name: e.join(parts[name], media) for name, e in visual.items()}


def _reduced(
    visual: Mapping[str, FrameExtractor],
    frames: Frames,
    seconds: range,
    per_snippet: int,
    pool: ThreadPoolExecutor,
) -> dict[str, list[list[Any]]]:
    """Return reduced frames of some seconds by extractor.

    Whole frames of only a few seconds live at a time.
    """
    held: dict[str, list[list[Any]]] = {name: [] for name in visual}
    waiting: deque[dict[str, list[Future[Any]]]] = deque()
    offsets = {name: e.frame_offsets(per_snippet) for name, e in visual.items()}
    every_offset = sorted({offset for wanted in offsets.values() for offset in wanted})

    def settle(most: int) -> None:
        while len(waiting) > most:
            for name, futures in waiting.popleft().items():
                held[name].append([future.result() for future in futures])

    for second in seconds:
        whole = {offset: frames[second * per_snippet + offset] for offset in every_offset}
        waiting.append(
            {
                name: [pool.submit(visual[name].reduce, whole[offset]) for offset in wanted]
                for name, wanted in offsets.items()
            }
        )
        settle(SECONDS_AHEAD)
    settle(0)
    return held


def resized(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return a frame [H, W, 3] at another size, as PIL does it: bilinear, antialiased."""
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))


def scaled_size(frame: NDArray[np.uint8], shorter: int) -> tuple[int, int]:
    """Return width and height, the shorter side `shorter`, the longer one floored."""
    height, width = frame.shape[:2]
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield consecutive runs of `size` items, the last one perhaps shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
