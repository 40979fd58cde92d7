"""VGGish over the continuous sound, for systems that look for events inside a clip.

Paper: Parekh et al., "Weakly Supervised Representation Learning for Audio-Visual Scene Analysis":
    windows of 0.96 s every 0.48 s, so 19 for 10 s, without padding.

Letters: K windows.
"""

from collections.abc import Mapping
from pathlib import Path

from extractors.base import Array, FeatureSpec, Precision, finite
from extractors.vggish import Embedder
from extractors.vggish_mel import log_mel_examples
from schemas.media import ClipMedia
from schemas.recipe import RECIPES, Recipe

HOP_S = 0.48
"""Seconds from one window's start to the next's."""


class Segments:
    """VGGish of 0.96 s windows every 0.48 s: float32 [K, 128], K = 19 for 10 s."""

    spec = FeatureSpec("segments", (128,), "segment", "audio")

    def __init__(self, recipe: Recipe = RECIPES["llp-eccv20"]) -> None:
        self.embedder = Embedder(recipe)

    @property
    def provenance(self) -> Mapping[str, str]:
        """sha256 of each weight file, or `seeded:<n>`."""
        return self.embedder.provenance

    def load(
        self,
        device: str = "cpu",
        weights: str = "pretrained",
        *,
        weights_dir: Path | None = None,
        precision: Precision = "fp32",
    ) -> "Segments":
        """See `Extractor.load`; always computes in fp32, whatever `precision` says."""
        self.embedder.load(device, weights, weights_dir)
        return self

    def extract(self, media: ClipMedia) -> Array | None:
        """Float32 [K, 128], None without sound."""
        if media.sound is None:
            return None
        examples = log_mel_examples(media.sound, HOP_S)
        return finite(self.embedder(examples), media.clip_key, self.spec.name)
