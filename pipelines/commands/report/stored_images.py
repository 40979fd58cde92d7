"""Images of table `frames` on a store's page: what they are, and some of each card's clip."""

import io
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from pipelines.commands.report.clip_media import FRAMES
from schemas import StoreManifest
from schemas.page import data_uri

_LINES = 96
"""Height of a frame on a card."""


def describe(manifest: StoreManifest) -> str:
    """Return number, format, rate and size of a store's frames in words; empty without any."""
    paths = manifest.paths("frames")
    if not paths:
        return ""
    recipe = manifest.data["recipe"]
    count = sum(pq.read_metadata(path).num_rows for path in paths)
    size = sum(path.stat().st_size for path in paths)
    return (
        f"{count:,} as {recipe['frames_format']}, {recipe['frames_rate']} a second, shorter side "
        f"{recipe['frames_side']} pixels at most, {size / max(1, count) / 1000:.1f} kB each"
    )


def strips(manifest: StoreManifest, keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return a few frames of some clips, spread over each, as addresses that hold small JPEGs."""
    found: dict[str, tuple[str, ...]] = {}
    wanted = pa.array(keys, pa.string())
    for path in manifest.paths("frames"):
        with pq.ParquetFile(path) as part:
            for group in range(part.num_row_groups):
                rows = part.read_row_group(group, columns=["clip_key"])["clip_key"]
                if not pc.any(pc.is_in(rows, value_set=wanted)).as_py():
                    continue
                _add(found, part.read_row_group(group, columns=["clip_key", "image"]), keys)
    return found


def _add(found: dict[str, tuple[str, ...]], rows: pa.Table, keys: Iterable[str]) -> None:
    """Add the clips that begin in a row group."""
    here = set(rows["clip_key"].unique().to_pylist()) - found.keys()
    for key in here & {*keys}:
        images = rows.filter(pc.equal(rows["clip_key"], key))["image"]
        chosen = np.linspace(0, len(images) - 1, min(FRAMES, len(images))).round().astype(int)
        found[key] = tuple(_small(images[int(index)].as_py()) for index in chosen)


def _small(image: bytes) -> str:
    """Return an image as a small JPEG; empty for one that cannot be read."""
    file = io.BytesIO()
    try:
        with Image.open(io.BytesIO(image)) as whole:
            width = max(1, round(whole.width * _LINES / whole.height))
            whole.convert("RGB").resize((width, _LINES)).save(file, "JPEG", quality=70)
    except OSError:
        return ""
    return data_uri(file.getvalue(), "image/jpeg")
