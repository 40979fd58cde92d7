"""VGGish: 128 numbers for each 0.96 s of audio.

Paper: Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017,
    https://arxiv.org/abs/1609.09430
Published weights: https://tfhub.dev/google/vggish/1
Differences from it: none known; the features of LLP keep a ReLU on the 128 outputs that the
published graph does not have, so the recipe decides (`vggish_relu`).

Letters: N examples, T seconds.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from extractors.base import Array, Extractor, LoadOptions, NotLoadedError, finite
from extractors.nets import shared as nets
from extractors.nets.vggish_input import log_mel_examples
from schemas.media import ClipMedia
from schemas.recipe import RECIPES, Recipe

__all__ = ["Embedder", "VGGish", "VGGishExtractor", "log_mel_examples", "quantise"]

BATCH = 10
"""Examples in one pass of the net."""


class Embedder:
    """From log-mel examples to what the recipe stores of VGGish; shared by three extractors."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.net: nets.Net | None = None
        self.pca: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        self.provenance: Mapping[str, str] = {}

    def open(self, options: LoadOptions) -> None:
        """Take the process's one copy of the net, and the PCA if the recipe wants it."""
        self.net = nets.shared_net("vggish", replace(options, precision="fp32"))
        self.provenance = self.net.provenance
        if self.recipe.vggish_pca:
            self.pca, added = nets.vggish_pca(options)
            self.provenance = {**self.provenance, **added}

    def __call__(self, examples: Array) -> Array:
        """Return embeddings, float32 [N, 128], of examples [N, 96, 64]; 0..255 after the PCA."""
        if self.net is None:
            raise NotLoadedError("vggish")
        parts = [
            self.net(torch.from_numpy(examples[start : start + BATCH])).numpy()
            for start in range(0, len(examples), BATCH)
        ]
        out: Array = np.concatenate([np.zeros((0, 128), np.float32), *parts])
        if self.recipe.vggish_relu:
            out = np.maximum(out, 0.0)
        return quantise(out, *self.pca) if self.pca is not None else out


class VGGishExtractor(Extractor):
    """What the three extractors that end in VGGish share: opening it, once in a process."""

    def __init__(self, recipe: Recipe = RECIPES["llp-eccv20"]) -> None:
        super().__init__(recipe)
        self.embedder = Embedder(recipe)

    @property
    def provenance(self) -> Mapping[str, str]:
        """sha256 of each weight file, or `seeded:<n>`."""
        return self.embedder.provenance

    def open(self, options: LoadOptions) -> None:
        """Take the net, which always computes in fp32."""
        self.embedder.open(options)


class VGGish(VGGishExtractor):
    """VGGish of each second by itself: float32 [T, 128].

    A second is 98 frames and gives one example of 96, so its last 40 ms are not used, as in the
    features that the LLP authors published.
    """

    name = "vggish"

    def extract(self, media: ClipMedia) -> Array | None:
        """Return float32 [T, 128], None without audio."""
        if media.waveform is None:
            return None
        examples = np.concatenate([log_mel_examples(s) for s in media.waveform_by_second()])
        return finite(self.embedder(examples), media.clip_key, self.name)


def quantise(raw: Array, eigen_vectors: NDArray[np.float64], means: NDArray[np.float64]) -> Array:
    """Return AudioSet's PCA of `raw`, clipped to -2..2, in 256 steps: float32 [N, 128], 0..255."""
    projected = (raw - means.reshape(1, -1)) @ eigen_vectors.T
    steps = (np.clip(projected, -2.0, 2.0) + 2.0) * (255.0 / 4.0)
    return np.floor(steps).astype(np.float32)
