"""Whether the images of table `frames` are what their rows say."""

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from PIL import Image

_ENDS = {"JPEG": b"\xff\xd9"}
"""How an image of a format ends; a WebP says its length at its beginning."""
_SHOWN = 3


def find_image_problems(path: Path, table: pa.Table) -> Iterator[str]:
    """Yield what is wrong with the images of one part, a few sentences at most.

    Their heads are read, not their pixels: the sha256 of the part says whether a byte changed.
    """
    found = 0
    columns = ("clip_key", "frame_index", "width", "height", "image")
    for batch in table.select(columns).to_batches(256):
        for key, index, width, height, image in zip(
            *(batch[name].to_pylist() for name in columns), strict=True
        ):
            wrong = _wrong(image, width, height)
            if wrong:
                found += 1
            if wrong and found <= _SHOWN:
                yield f"{path}: frame {index} of {key} {wrong}"
    if found > _SHOWN:
        yield f"{path}: {found - _SHOWN} more images are not what their rows say"


def _wrong(image: bytes | None, width: int | None, height: int | None) -> str:
    if not image:
        return "is empty"
    try:
        with Image.open(io.BytesIO(image)) as opened:
            form, size = opened.format or "", opened.size
    except OSError:
        return "is no image that can be read"
    if size != (width, height):
        return f"is {size[0]}x{size[1]}, its row says {width}x{height}"
    whole = image.endswith(_ENDS[form]) if form in _ENDS else _riff_length(image) == len(image)
    return "" if whole else "is cut off"


def _riff_length(image: bytes) -> int:
    """Return how long a RIFF file says it is, padding included."""
    length = int.from_bytes(image[4:8], "little") + 8
    return length + length % 2
