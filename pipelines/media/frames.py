"""Frames of a clip as still images in one file, turned into pixels when asked for."""

import io
import mmap
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas import KnownError, Reason

_JPEG_START = b"\xff\xd8\xff"


class ImageFile:
    """Still images, one after another in a file, each found by its offset."""

    def __init__(self, path: Path, starts: Sequence[int] | None = None) -> None:
        """Open a file of images that begin at `starts`; without them, a stream of JPEGs."""
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._starts = _jpeg_starts(self._map) if starts is None else starts

    def __len__(self) -> int:
        return len(self._starts)

    def image(self, index: int) -> bytes:
        """Return the bytes of one image."""
        last = index + 1 == len(self._starts)
        stop = len(self._map) if last else self._starts[index + 1]
        return self._map[self._starts[index] : stop]


def _jpeg_starts(data: mmap.mmap) -> list[int]:
    """Find where each JPEG starts: the marker cannot occur inside one (0xFF is escaped there)."""
    starts, at = [], data.find(_JPEG_START)
    while at >= 0:
        starts.append(at)
        at = data.find(_JPEG_START, at + 3)
    return starts


class PickedFrames:
    """The frames that a recipe picked, by their number in an `ImageFile`.

    What was decoded last stays, up to 128 MB, because frames are looked at more than once: by the
    extractors, for the quality columns, and where a short clip repeats its last frame.
    """

    def __init__(
        self, file: ImageFile, picked: Sequence[int], most_bytes: int = 128 * 2**20
    ) -> None:
        """Pick images by number; decoded ones keep `most_bytes`, and one in any case."""
        self._file = file
        self._picked, self._most_bytes = picked, most_bytes
        self._cache: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self._picked)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Return frame `index` as RGB uint8 [H, W, 3]."""
        number = self._picked[index]
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        try:
            with Image.open(io.BytesIO(self._file.image(number))) as image:
                pixels = np.asarray(image.convert("RGB"))
        except OSError as error:
            raise KnownError(Reason.CORRUPT, f"frame {index} cannot be read: {error}") from None
        self._cache[number] = pixels
        self._cached_bytes += pixels.nbytes
        while self._cached_bytes > self._most_bytes and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return pixels
