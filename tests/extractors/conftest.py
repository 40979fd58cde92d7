"""A drawn clip, with and without its parts."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from extractors.nets.calibration_inputs import draw_videos, draw_waveforms
from schemas.media import SAMPLE_RATE, ClipMedia

SECONDS = 2


class CountedFrames(list[NDArray[np.uint8]]):
    """Frames that count how often they are asked for."""

    asked = 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        self.asked += 1
        return super().__getitem__(index)


def make_media(seconds: int, *, width: int = 160, height: int = 120, seed: int = 3) -> ClipMedia:
    """A clip of drawn frames and drawn sound."""
    drawn = draw_videos(1, seconds * 8, max(width, height), seed)[0, :, :height, :width]
    return ClipMedia(
        clip_key="drawn",
        n_snippets=seconds,
        waveform=draw_waveforms(1, seconds, seed)[0],
        frames=CountedFrames(drawn),
        audio_valid=np.ones(seconds, dtype=np.bool_),
        frames_valid=np.ones(seconds, dtype=np.bool_),
    )


@pytest.fixture
def media() -> ClipMedia:
    """Two seconds of drawn picture and sound."""
    return make_media(SECONDS)


@pytest.fixture
def blank(media: ClipMedia) -> ClipMedia:
    """A clip of silence and black frames."""
    return replace(
        media,
        waveform=np.zeros(SECONDS * SAMPLE_RATE, dtype=np.float32),
        frames=[np.zeros((120, 160, 3), dtype=np.uint8)] * (SECONDS * 8),
    )
