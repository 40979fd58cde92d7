"""A small store for models that tag: sound tells half of the classes, picture the other half."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from schemas import Recipe, table_schema, tensor_array
from tests.stores.writer import RECIPE, Tables, clip_row, snippet_columns, to_table, write_store

CLASSES = ("Bell", "Dog", "Engine", "Rain", "Speech", "Wind")
SHAPES = {"logmel": (100, 64), "resnet152": (2048,), "r2plus1d": (512,), "vggish": (128,)}
FRAME = (36, 48)
"""Height and width of a made-up frame."""
COLOURS = ((230, 0, 0), (0, 230, 0), (0, 0, 230), (230, 230, 0), (230, 0, 230), (0, 230, 230))
"""Of the classes' stripes."""


def write_tagging_store(
    root: Path, *, train: int = 48, val: int = 16, test: int = 24, seconds: int = 2, parts: int = 4,
    features: Sequence[str] = ("logmel", "resnet152", "r2plus1d"), labels: int = 2,
    noise: float = 1.0, seed: int = 0, prefix: str = "", classes: Sequence[str] = CLASSES,
    frames: bool = False, recipe: Recipe = RECIPE, **changes: Any,
) -> Path:  # fmt: skip
    """Write a store; `labels` is the most that a clip has, `changes` as `write_store` takes them.

    A feature is the sum of the patterns of the clip's classes, and noise. With `frames` there are
    pictures of 48x36 too, a stripe of each class's colour in them.
    """
    random = np.random.default_rng(seed)
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    keys = [f"{prefix}{split}{row:05d}_0_{seconds}" for row, split in enumerate(splits)]
    hot = _labels(len(keys), len(classes), labels, random)
    patterns = _patterns(len(classes))
    own = recipe.with_(extractors=(*features, *["frames"] * frames), frames_side=FRAME[0])

    def tables() -> Iterator[Tables]:
        for rows in np.array_split(np.arange(len(keys)), parts):
            values = {
                name: _values(patterns[name], hot[rows], seconds, name, noise, random)
                for name in features
            }
            named = {row: [classes[i] for i in hot[row].nonzero()[0]] for row in rows}
            clips = [clip_row(keys[row], seconds, splits[row], named[row]) for row in rows]
            names = [keys[row] for row in rows]
            shown = {"frames": frame_table(names, hot[rows], seconds)} if frames else {}
            snippets = _snippets(names, seconds, values, table_schema("snippets", own))
            yield {"clips": to_table("clips", clips), "snippets": snippets, **shown}

    return write_store(root, tables(), **{"vocabulary": classes, "recipe": own, **changes})


def frame_table(keys: Sequence[str], hot: NDArray[np.bool_], seconds: int) -> pa.Table:
    """Return table `frames` of some clips, eight a second."""
    height, width = FRAME
    schema = table_schema("frames", RECIPE.with_(extractors=("frames",)))
    stripes = np.array_split(np.arange(height), hot.shape[1])
    rows: list[tuple[str, int, int, int, int, bytes]] = []
    for key, has in zip(keys, hot, strict=True):
        pixels = np.full((height, width, 3), 40, np.uint8)
        for place in has.nonzero()[0]:
            pixels[stripes[place]] = COLOURS[place % len(COLOURS)]
        for frame in range(8 * seconds):
            file = io.BytesIO()
            Image.fromarray(np.roll(pixels, frame % 2, axis=0)).save(file, "JPEG", quality=90)
            rows.append((key, frame // 8, frame, width, height, file.getvalue()))
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(schema.names, map(list, columns), strict=True)), schema)


def _labels(clips: int, classes: int, most: int, random: np.random.Generator) -> NDArray[np.bool_]:
    hot = np.zeros((clips, classes), bool)
    for row in range(clips):
        hot[row, random.choice(classes, random.integers(1, most + 1), replace=False)] = True
        hot[row, row % classes] |= most > 1
    return hot


def _patterns(classes: int) -> dict[str, NDArray[np.float64]]:
    """Return what each class looks and sounds like, the same in every store."""
    random = np.random.default_rng(99)
    patterns = {name: random.random((classes, shape[-1])) for name, shape in SHAPES.items()}
    half = classes // 2
    patterns["logmel"][half:] *= 0.2  # the second half is hard to hear
    for name in ("resnet152", "r2plus1d"):
        patterns[name][:half] *= 0.2  # the first half is hard to see
    return patterns


def _values(
    pattern: NDArray[np.float64], hot: NDArray[np.bool_], seconds: int, name: str, noise: float,
    random: np.random.Generator,
) -> NDArray[np.float32]:  # fmt: skip
    shape = (len(hot), seconds, *SHAPES[name])
    level = hot @ pattern
    everywhere = (slice(None), *[None] * (len(shape) - 2), slice(None))
    scale = 3.0 if name == "logmel" else 1.0
    return (scale * level[everywhere] + noise * random.standard_normal(shape)).astype(np.float32)


def _snippets(
    keys: Sequence[str], seconds: int, values: dict[str, NDArray[np.float32]], schema: pa.Schema
) -> pa.Table:
    columns = snippet_columns(keys, seconds)
    count = len(keys) * seconds
    for field in schema:
        if field.name not in columns:
            flat = values[field.name].reshape(count, -1) if field.name in values else None
            columns[field.name] = tensor_array(flat, np.full(count, flat is not None), field)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
