"""Frames of a clip as JPEGs in one file, turned into pixels when asked for."""

import io
import mmap
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_START_OF_IMAGE = b"\xff\xd8\xff"
_CACHE_BYTES = 128 * 2**20


class JpegFile:
    """A Motion-JPEG stream as ffmpeg writes it: JPEGs one after another."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._starts = _offsets(self._map)

    def __len__(self) -> int:
        return len(self._starts)

    def jpeg(self, index: int) -> bytes:
        """The bytes of one JPEG."""
        last = index + 1 == len(self._starts)
        stop = len(self._map) if last else self._starts[index + 1]
        return self._map[self._starts[index] : stop]

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        self._file.close()


def _offsets(data: mmap.mmap) -> list[int]:
    """Where each JPEG starts: the marker cannot occur inside one (0xFF is escaped there)."""
    starts, at = [], data.find(_START_OF_IMAGE)
    while at >= 0:
        starts.append(at)
        at = data.find(_START_OF_IMAGE, at + 3)
    return starts


class JpegFrames:
    """The frames that a recipe picked, by their place in a `JpegFile`.

    Several extractors read the same frames one after another, so the last ones stay decoded, up
    to 128 MB: all 80 of a usual clip, and a bounded part of a long or large one.
    """

    def __init__(self, file: JpegFile, picked: Sequence[int]) -> None:
        self._file = file
        self._picked = picked
        self._cache: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self._picked)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Frame `index` as RGB uint8 [H, W, 3]."""
        place = self._picked[index]
        if place in self._cache:
            self._cache.move_to_end(place)
            return self._cache[place]
        with Image.open(io.BytesIO(self._file.jpeg(place))) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._cache[place] = pixels
        self._cached_bytes += pixels.nbytes
        while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return pixels
