"""VGGish over the continuous audio, for systems that look for events inside a clip.

Paper: Parekh et al., "Weakly Supervised Representation Learning for Audio-Visual Scene Analysis":
    windows of 0.96 s every 0.48 s, so 19 for 10 s, without padding.

Letters: K windows.
"""

from extractors.base import Array, finite
from extractors.nets.vggish_input import log_mel_examples
from extractors.vggish import VGGishExtractor
from schemas.features import SEGMENT_HOP_S
from schemas.media import ClipMedia


class Segments(VGGishExtractor):
    """VGGish of 0.96 s windows every 0.48 s: float32 [K, 128], K = 19 for 10 s."""

    name = "segments"

    def extract(self, media: ClipMedia) -> Array | None:
        """Return float32 [K, 128], None without audio."""
        if media.waveform is None:
            return None
        examples = log_mel_examples(media.waveform, SEGMENT_HOP_S)
        return finite(self.embedder(examples), media.clip_key, self.name)
