"""`beam compare`: how near our features are to published `.npy` files, second by second."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import tyro
from numpy.typing import NDArray
from rich.table import Table

from pipelines.commands.npy_files import (
    FOLDERS,
    SECONDS,
    SHAPES,
    Array,
    read_features,
    stem_of,
)
from schemas import (
    FEATURES,
    KnownError,
    UsageError,
    read_store_manifest,
    tensor_shape,
    tensor_values,
)
from schemas.settings import screen


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare a feature store with published .npy features: cosine of every second.

    DIR holds the folders vggish, res152 and r2plus1d_18 (those that are there are compared), one
    .npy a clip, named by the first 11 characters of the clip's key.
    Example: beam compare out/llp --npy LLP/feats
    """

    out: Annotated[str, tyro.conf.Positional]
    """The folder with manifest.json."""
    npy: str
    """Folder with the published features."""
    worst: int = 3
    """How many of the least similar clips to name for each feature."""


def run(options: Options, rest: list[str]) -> int:
    """Print a table of similarities."""
    folder = Path(options.npy)
    present = {name: folder / sub for name, sub in FOLDERS.items() if (folder / sub).is_dir()}
    if not present:
        raise UsageError(f"--npy {folder} holds none of the folders {', '.join(FOLDERS.values())}")
    manifest = read_store_manifest(Path(options.out))
    table = Table("feature", "clips", "seconds", "mean cosine", "5 %", "least", "least similar")
    compared = 0
    for name, published in present.items():
        pairs = list(similarities(manifest.paths("snippets"), name, published))
        if not pairs:
            table.add_row(name, "0", *["-"] * 5)
            continue
        compared += len(pairs)
        cosines = np.concatenate([cosine for _, cosine in pairs])
        worst = sorted(pairs, key=lambda pair: float(pair[1].min()))[: options.worst]
        table.add_row(
            name, f"{len(pairs):,}", f"{len(cosines):,}", f"{cosines.mean():.5f}",
            f"{np.quantile(cosines, 0.05):.5f}", f"{cosines.min():.5f}",
            ", ".join(key for key, _ in worst),
        )  # fmt: skip
    recipe = manifest.data["recipe"]
    console = screen.results()
    console.print(f"recipe {recipe['name']} {recipe['hash']}, weights {recipe['weights']}")
    console.print(table)
    if not compared:
        raise UsageError(f"no clip of {options.out} has a file in {folder}; names are <id>.npy")
    return 0


def similarities(
    parts: list[Path], name: str, folder: Path
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield clip key and cosine of each second [T] for the clips that both sides have."""
    for part in parts:
        table = pq.read_table(part, columns=["clip_key", "snippet_index", name])
        shape = tensor_shape(table.schema.field(name)) or ()
        values, present = tensor_values(table[name].combine_chunks(), shape)
        keys = np.array(table["clip_key"].to_pylist())
        for key in dict.fromkeys(keys.tolist()):
            path = _path_of(key, folder)
            rows = (keys == key) & present
            if path is not None and rows.any():
                seconds = table["snippet_index"].to_numpy()[rows]
                theirs = _by_second(path, name)
                inside = seconds < len(theirs)
                yield key, _cosine(_pooled(values[rows])[inside], theirs[seconds[inside]])


def _path_of(key: str, folder: Path) -> Path | None:
    """Return the published file of a clip; None when there is none."""
    try:
        path = folder / f"{stem_of(key)}.npy"
    except KnownError:  # such a clip has no file
        return None
    return path if path.is_file() else None


def _by_second(path: Path, name: str) -> Array:
    """Read published features as [T, D]: frames of a second averaged."""
    feature = FEATURES[name]
    rows = SHAPES[name][0] if feature.per_frame else None
    try:
        array = read_features(path, (rows, *feature.shape))
    except KnownError as error:
        raise UsageError(f"{path}: {error.detail}; mend it or take it away") from None
    return array.reshape(SECONDS, -1, *feature.shape).mean(axis=1) if feature.per_frame else array


def _pooled(values: Array) -> Array:
    """Return our rows as [R, D], frames of a second averaged."""
    return values.mean(axis=1) if values.ndim == 3 else values


def _cosine(ours: Array, theirs: Array) -> NDArray[np.float64]:
    product = (ours.astype(np.float64) * theirs).sum(axis=1)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return np.asarray(product / np.maximum(lengths, 1e-12))
