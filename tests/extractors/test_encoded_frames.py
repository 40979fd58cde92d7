"""Frames as stored bytes: their format, size and rate, and that they show what was filmed."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from extractors.encoded_frames import EncodedFrames
from schemas.media import ClipMedia, StoredFrames
from schemas.recipe import RECIPES
from tests.extractors.conftest import make_media


def stored(media: ClipMedia, **changes: Any) -> StoredFrames:
    recipe = RECIPES["llp-eccv20"].with_(extractors=("frames",), **changes)
    found = EncodedFrames(recipe).load("cpu", "seeded:0").extract(media)
    assert isinstance(found, StoredFrames)
    return found


@pytest.mark.parametrize(("form", "head"), [("jpeg", b"\xff\xd8"), ("webp", b"RIFF")])
def test_frames_are_images_of_the_recipes_format_and_show_the_frame(form: str, head: bytes) -> None:
    media = make_media(1)
    assert media.frames is not None
    found = stored(media, frames_format=form)
    assert len(found.image) == 8
    for index, image in enumerate(found.image):
        assert image.startswith(head)
        pixels = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"), np.float32)
        assert np.abs(pixels - media.frames[index]).mean() < 6


@pytest.mark.parametrize(
    ("rate", "offsets"), [(8, range(8)), (4, (1, 3, 5, 7)), (2, (2, 6)), (1, (4,))]
)
def test_rate_takes_frames_evenly(rate: int, offsets: tuple[int, ...]) -> None:
    found = stored(make_media(2), frames_rate=rate)
    assert found.frame_index.tolist() == [*offsets, *(8 + offset for offset in offsets)]
    assert found.snippet_index.tolist() == [0] * rate + [1] * rate


@pytest.mark.parametrize(("side", "size"), [(64, (85, 64)), (120, (160, 120)), (256, (160, 120))])
def test_shorter_side_is_limited_and_never_enlarged(side: int, size: tuple[int, int]) -> None:
    found = stored(make_media(1), frames_side=side)
    assert {Image.open(io.BytesIO(image)).size for image in found.image} == {size}
    assert set(zip(found.width.tolist(), found.height.tolist(), strict=True)) == {size}


def test_upright_frames_keep_their_shape() -> None:
    media = make_media(1)
    assert media.frames is not None
    upright = replace(media, frames=[np.rot90(media.frames[index]) for index in range(8)])
    assert set(stored(upright, frames_side=60).height.tolist()) == {80}
