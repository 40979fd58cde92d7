"""Still images in one file, and how many of them stay decoded."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.media.frames import ImageFile, PickedFrames
from schemas import KnownError, Reason

FRAME_BYTES = 24 * 32 * 3


def picture(level: int, kind: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (32, 24), (level, level, level)).save(data, kind)
    return data.getvalue()


@pytest.fixture
def jpegs(tmp_path: Path) -> ImageFile:
    path = tmp_path / "frames"
    path.write_bytes(b"".join(picture(20 * n, "JPEG") for n in range(6)))
    return ImageFile(path)


def test_jpegs_are_found_by_their_starts(jpegs: ImageFile) -> None:
    assert len(jpegs) == 6
    assert [jpegs.image(n) for n in (0, 3, 5)] == [picture(20 * n, "JPEG") for n in (0, 3, 5)]


def test_images_are_found_by_the_starts_that_are_given(tmp_path: Path) -> None:
    first, second = picture(10, "PNG"), picture(200, "PNG")
    (tmp_path / "frames").write_bytes(first + second)
    frames = PickedFrames(ImageFile(tmp_path / "frames", [0, len(first)]), [1, 0, 1])
    assert [int(frames[index].mean()) for index in range(len(frames))] == [200, 10, 200]


@pytest.mark.parametrize(("most", "kept"), [(0, 1), (1, 1), (3, 3), (3.5, 3), (9, 6)])
def test_decoded_frames_stay_as_far_as_there_is_room(
    jpegs: ImageFile, most: float, kept: int
) -> None:
    frames = PickedFrames(jpegs, range(6), most_bytes=int(most * FRAME_BYTES))
    for index in range(6):
        assert frames[index].shape == (24, 32, 3)
        assert len(frames._cache) == min(kept, index + 1)
    assert frames[5] is frames[5]
    np.testing.assert_allclose(frames[1], 20, atol=2)


def test_frame_that_was_used_last_stays_longest(jpegs: ImageFile) -> None:
    frames = PickedFrames(jpegs, range(6), most_bytes=2 * FRAME_BYTES)
    first = frames[0]
    assert frames[1] is not frames[2]
    assert frames[0] is not first
    again = frames[0]
    assert frames[3] is not again
    assert frames[0] is again
    assert frames[4] is not again
    assert frames[0] is again


def test_broken_frame_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "frames").write_bytes(picture(20, "JPEG")[:60])
    with pytest.raises(KnownError, match="frame 0 cannot be read") as caught:
        PickedFrames(ImageFile(tmp_path / "frames"), [0])[0]
    assert caught.value.reason is Reason.CORRUPT
