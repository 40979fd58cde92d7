"""What every extractor is: a name in the table of features, a `load`, and a clip in, arrays out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from schemas.failure import KnownError, Reason
from schemas.features import Feature
from schemas.machine.precision import Precision
from schemas.media import ClipMedia, FeatureRows
from schemas.recipe import RECIPES, Recipe

Array = NDArray[np.float32]
Features = Array | FeatureRows


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """Where an extractor computes, and from which weights."""

    device: str = "cpu"
    """`cpu`, `cuda` or `cuda:<n>`."""
    weights: str = "pretrained"
    """`pretrained`, `seeded` or `seeded:<n>`."""
    weights_dir: Path | None = None
    """Folder with published weight files, looked at before the cache."""
    precision: Precision = "fp32"
    """Precision of the nets of features with `half_precision`; the others compute in float32."""


class Extractor(ABC):
    """Decoded media in, arrays out; loaded once, then used for any number of clips."""

    name: ClassVar[str]
    """Its entry in `schemas.features.FEATURES`."""

    def __init__(self, recipe: Recipe = RECIPES["llp-eccv20"]) -> None:
        self.recipe = recipe

    @property
    def spec(self) -> Feature:
        """What it gives under its recipe: shape, modality, table and column."""
        return self.recipe.feature(self.name)

    @property
    def provenance(self) -> Mapping[str, str]:
        """After `load`: sha256 of each weight file, or `seeded:<n>`; empty without weights."""
        return {}

    def load(
        self,
        device: str = "cpu",
        weights: str = "pretrained",
        *,
        weights_dir: Path | None = None,
        precision: Precision = "fp32",
    ) -> Self:
        """Get ready as `LoadOptions` say and return the extractor itself.

        Raises `UsageError` for a device that is not there, or weights that are not.
        """
        self.open(
            LoadOptions(
                device=device, weights=weights, weights_dir=weights_dir, precision=precision
            )
        )
        return self

    def open(self, options: LoadOptions) -> None:  # noqa: B027 not every extractor has weights
        """Take the weights into memory; nothing to do for an extractor without any."""

    @abstractmethod
    def extract(self, media: ClipMedia) -> Features | None:
        """Return the features of one clip, None when its modality is missing.

        They are an array [rows, *shape] on a regular grid (one row per second, or per window of
        `hop_s`), else a record whose `columns()` are those of the feature's table. Raises
        `KnownError` with `NOT_FINITE` when a number is infinite or undefined.
        """


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
