"""Peaks: the loudest sample of each second and its surroundings, in a table of their own."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extractors.base import Array, Extractor
from schemas.media import ClipMedia, ColumnValues

AROUND = 4


@dataclass(frozen=True, eq=False)
class PeakRows:
    """One peak per second."""

    level: Array
    window: Array

    def columns(self) -> Mapping[str, ColumnValues]:
        """Return the columns of table `peaks`."""
        index: NDArray[np.int32] = np.arange(len(self.level), dtype=np.int32)
        return {
            "peak_index": index, "snippet_index": index, "level": self.level, "window": self.window
        }  # fmt: skip


class Peaks(Extractor):
    """The loudest sample of each second."""

    name = "peaks"

    def extract(self, media: ClipMedia) -> PeakRows | None:
        """Return the peaks, None without audio."""
        if media.waveform is None:
            return None
        seconds = media.waveform_by_second()
        start = np.abs(seconds).argmax(axis=1).clip(0, seconds.shape[1] - AROUND)
        window = np.stack([row[at : at + AROUND] for row, at in zip(seconds, start, strict=True)])
        return PeakRows(np.abs(seconds).max(axis=1), window)
