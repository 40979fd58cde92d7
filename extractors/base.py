"""What every extractor is: a name and a shape, a `load`, and a clip in, arrays out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.failure import KnownError, Reason
from schemas.media import ClipMedia, FeatureRows

Array = NDArray[np.float32]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What an extractor gives for each row, known before any weights are loaded."""

    name: str
    """Name in the registry, and of the column or table."""
    shape: tuple[int, ...]
    """Shape of one row; for `proposals` of its feature, for `ncp` of its embedding."""
    grid: Literal["snippet", "segment", "box", "component"]
    """What one row stands for."""
    modality: Literal["audio", "visual"]
    """What must be present in the clip; without it `extract` gives None."""
    version: int = 1
    """Raised whenever a change of the code changes the feature's bytes."""


Features = Array | FeatureRows


class Extractor(Protocol):
    """Media in, arrays out; loaded once, then used for any number of clips."""

    @property
    def spec(self) -> FeatureSpec:
        """Name, row shape, grid, modality and version."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """After `load`: sha256 of each weight file, or `seeded:<n>`; empty without weights."""
        ...

    def load(
        self,
        device: str = "cpu",
        weights: str = "pretrained",
        *,
        weights_dir: Path | None = None,
        precision: Precision = "fp32",
    ) -> "Extractor":
        """Get ready on a device and return the extractor itself.

        `weights` is `pretrained`, `seeded` or `seeded:<n>`. `precision` is the arithmetic of the
        two picture nets; everything else computes in float32. Raises `UsageError` for a device
        that is not there, or weights that are not.
        """
        ...

    def extract(self, media: ClipMedia) -> Features | None:
        """Features of one clip, None when its modality is missing.

        Raises `KnownError` with `NOT_FINITE` when a number came out infinite or undefined.
        """
        ...


def finite(values: Array, clip_key: str, name: str) -> Array:
    """Return `values` unchanged, or raise `KnownError` (`NOT_FINITE`) naming clip and extractor."""
    if not np.isfinite(values).all():
        share = 1.0 - float(np.isfinite(values).mean())
        raise KnownError(
            Reason.NOT_FINITE,
            f"{name} of clip {clip_key}: {share:.1%} of the numbers are infinite or undefined",
        )
    return values


class NotLoadedError(RuntimeError):
    """`extract` was called before `load`: a mistake in the calling code."""

    def __init__(self, name: str) -> None:
        super().__init__(f"extractor {name!r} is not loaded; call load() before extract()")
