"""A decoded clip: waveform and frames on one (clip, second) grid, what every extractor reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.features import BOX_EDGES

ColumnValues = NDArray[Any] | Sequence[Any]
"""Values of one column, one per row; for a feature column [R, *shape]."""

SAMPLE_RATE = 16_000
"""Sample rate of every decoded waveform, in Hz."""


class Frames(Protocol):
    """Frames of a clip in order, decoded when asked for, so that a long clip fits in memory."""

    def __len__(self) -> int:
        """Return the number of frames, `n_snippets * per_snippet`."""
        ...

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        """Return frame `index` as RGB uint8 [H, W, 3], upright."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipMedia:
    """One decoded clip. A missing modality is None; an absent second is marked, not cut off."""

    clip_key: str
    n_snippets: int
    """T, the number of one-second snippets on the grid."""
    waveform: NDArray[np.float32] | None
    """[T * 16000] mono in -1..1, zero where the file has none."""
    frames: Frames | None
    """T * per_snippet frames; seconds that the file lacks repeat its last frame."""
    audio_valid: NDArray[np.bool_]
    """[T] True where the second has audio of its own."""
    frames_valid: NDArray[np.bool_]
    """[T] True where the second has video of its own."""
    per_snippet: int = 8
    """Frames per second."""

    def __post_init__(self) -> None:
        if self.n_snippets < 1:
            raise ValueError(f"clip {self.clip_key}: {self.n_snippets=}, need at least 1")
        if self.waveform is not None and self.waveform.shape != (self.n_snippets * SAMPLE_RATE,):
            raise ValueError(
                f"clip {self.clip_key}: waveform is {self.waveform.shape}, "
                f"need ({self.n_snippets * SAMPLE_RATE},)"
            )
        if self.frames is not None and len(self.frames) != self.n_snippets * self.per_snippet:
            raise ValueError(
                f"clip {self.clip_key}: {len(self.frames)} frames, "
                f"need {self.n_snippets * self.per_snippet}"
            )

    def waveform_by_second(self) -> NDArray[np.float32]:
        """Return the waveform cut into [T, 16000]; ValueError without audio."""
        if self.waveform is None:
            raise ValueError(f"clip {self.clip_key} has no audio")
        return self.waveform.reshape(self.n_snippets, SAMPLE_RATE)


class FeatureRows(Protocol):
    """Rows on no regular grid: what an extractor gives that fills a table of its own."""

    def columns(self) -> Mapping[str, ColumnValues]:
        """Return every column of the rows but `clip_key`, as the feature's entry names them.

        Rows with a `snippet_index` are kept only where that second has the modality.
        """
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Proposals:
    """Boxes of one clip, P in all, best first within a frame."""

    snippet_index: NDArray[np.int32]
    """[P] second of the box."""
    frame_index: NDArray[np.int32]
    """[P] index of its frame among the clip's `T * per_snippet` frames."""
    rank: NDArray[np.int32]
    """[P] 0 for the best box of the frame."""
    boxes: NDArray[np.float32]
    """[P, 4] x0, y0, x1, y1 as shares of width and height."""
    score: NDArray[np.float32]
    """[P] objectness."""
    feature: NDArray[np.float32]
    """[P, 2048] RoI feature."""
    context: NDArray[np.float32] | None = None
    """[P, 2048] the same of the box enlarged 1.8 times, where the recipe asks for it."""

    def columns(self) -> Mapping[str, ColumnValues]:
        """Return the columns of table `proposals`."""
        sides = dict(zip(BOX_EDGES, self.boxes.T, strict=True))
        around = {} if self.context is None else {"context": self.context}
        return {
            "snippet_index": self.snippet_index, "frame_index": self.frame_index,
            "rank": self.rank, **sides, "score": self.score, "feature": self.feature, **around,
        }  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredFrames:
    """Encoded frames of one clip in order, R in all."""

    snippet_index: NDArray[np.int32]
    """[R] second of the frame."""
    frame_index: NDArray[np.int32]
    """[R] its index among the clip's `T * per_snippet` frames."""
    width: NDArray[np.int32]
    """[R] width in pixels."""
    height: NDArray[np.int32]
    """[R] height in pixels."""
    image: Sequence[bytes]
    """R images in the format of the recipe."""

    def columns(self) -> Mapping[str, ColumnValues]:
        """Return the columns of table `frames`."""
        return vars(self)


@dataclass(frozen=True, eq=False, kw_only=True)
class Components:
    """Non-negative components of one clip's audio, K in all (Parekh et al., TASLP 2019)."""

    w: NDArray[np.float32]
    """[K, F] spectrum of each component, F = 513 bins, each summing to 1."""
    h: NDArray[np.float32]
    """[K, N] activation of each component over N spectrogram frames (31.25 per second)."""
    vggish: NDArray[np.float32]
    """[K, 128] VGGish of each component's own waveform, averaged over its windows."""

    def columns(self) -> Mapping[str, ColumnValues]:
        """Return the columns of table `components`."""
        index = np.arange(len(self.w), dtype=np.int32)
        return {"component_index": index, "w": self.w, "h": self.h, "vggish": self.vggish}
