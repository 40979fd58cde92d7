"""Zero crossings: how often the waveform changes its sign in each half of a second."""

import numpy as np

from extractors.base import Array, Extractor, finite
from schemas.media import ClipMedia


class Crossings(Extractor):
    """Zero crossings of each half second: float32 [T, 2]."""

    name = "crossings"

    def extract(self, media: ClipMedia) -> Array | None:
        """Return float32 [T, 2], None without audio."""
        if media.waveform is None:
            return None
        halves = media.waveform_by_second().reshape(media.n_snippets, 2, -1)
        counts = (np.diff(np.signbit(halves), axis=-1) != 0).sum(axis=-1).astype(np.float32)
        return finite(counts, media.clip_key, self.name)
