"""CLAP: where each second of audio lies in the space of sound and text.

Paper and published weights: `extractors.nets.contrastive`.
Differences: audio is decoded at 16 kHz, so nothing above 8 kHz is heard; VALOR's own input for its
largest net is a map of the whole clip before the projection, here every second is embedded.

Letters: T seconds.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch

from extractors.base import Array, Extractor, LoadOptions, NotLoadedError, finite
from extractors.nets.clap_input import log_mel_of_seconds
from extractors.nets.contrastive import AudioTower
from extractors.nets.shared import Net, shared_net
from schemas.media import ClipMedia
from schemas.recipe import RECIPES, Recipe


class CLAP(Extractor):
    """CLAP's embedding of each second by itself, of length 1: float32 [T, 512]."""

    name = "clap"

    def __init__(self, recipe: Recipe = RECIPES["llp-eccv20"]) -> None:
        super().__init__(recipe)
        self.net: Net | None = None

    @property
    def provenance(self) -> Mapping[str, str]:
        """sha256 of each weight file, or `seeded:<n>`."""
        return {} if self.net is None else self.net.provenance

    def open(self, options: LoadOptions) -> None:
        """Take the process's one copy of the net, which always computes in fp32."""
        self.net = shared_net(self.spec.net, replace(options, precision="fp32"))

    def extract(self, media: ClipMedia) -> Array | None:
        """Return float32 [T, 512], None without audio."""
        if self.net is None:
            raise NotLoadedError(self.name)
        if media.waveform is None:
            return None
        assert isinstance(self.net.trunk, AudioTower)
        vectors = []
        for second in media.waveform_by_second():
            seen = log_mel_of_seconds(second[None], fused=self.net.trunk.fused)
            vectors.append(self.net(torch.from_numpy(seen)))
        unit: Array = torch.nn.functional.normalize(torch.cat(vectors), dim=-1).numpy()
        return finite(unit, media.clip_key, self.name)
