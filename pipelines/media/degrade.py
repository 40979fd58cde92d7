"""Media made worse on purpose, so that trained runs can be tried on what a lab meets.

Noise is white and as loud as the signal-to-noise ratio says of the whole clip; blur is Gaussian;
dropped seconds lose their frames. What is drawn depends on the clip's key and the kind alone.
"""

import hashlib
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas import ClipMedia
from schemas.media import Frames
from schemas.recipe import read_degradation


def degraded(media: ClipMedia, what: str) -> ClipMedia:
    """Return a decoded clip made worse as a recipe's `degrade` says; as it is for an empty one."""
    if not what:
        return media
    kind, level = read_degradation(what)
    return {"noise": noisy, "blur": blurred, "drop": dropped}[kind](media, level)


def noisy(media: ClipMedia, snr_db: float) -> ClipMedia:
    """Return a clip with white noise under its sound; a silent or soundless clip as it is."""
    if media.waveform is None:
        return media
    power = float(np.mean(np.square(media.waveform, dtype=np.float64)))
    scale = np.sqrt(power / 10 ** (snr_db / 10))
    noise = scale * _random(media, "noise").standard_normal(len(media.waveform))
    there = np.repeat(media.audio_valid, len(media.waveform) // media.n_snippets)
    mixed = (media.waveform + noise * there).clip(-1.0, 1.0)
    return replace(media, waveform=mixed.astype(np.float32))


class BlurredFrames:
    """Frames that are blurred when asked for."""

    def __init__(self, frames: Frames, per_cent: float) -> None:
        self.frames, self.per_cent = frames, per_cent

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]:
        frame = np.asarray(self.frames[index])
        std = self.per_cent / 100 * min(frame.shape[:2])
        blurred = cv2.GaussianBlur(frame, (0, 0), std) if std > 0 else frame
        return np.asarray(blurred, np.uint8)


def blurred(media: ClipMedia, per_cent: float) -> ClipMedia:
    """Return a clip with blurred frames."""
    if media.frames is None:
        return media
    return replace(media, frames=BlurredFrames(media.frames, per_cent))


def dropped(media: ClipMedia, share: float) -> ClipMedia:
    """Return a clip without the frames of some of its seconds; without any it has no video."""
    if media.frames is None:
        return media
    there = np.flatnonzero(media.frames_valid)
    gone = _random(media, "drop").permutation(there)[: round(share * len(there))]
    valid = media.frames_valid.copy()
    valid[gone] = False
    return replace(media, frames_valid=valid, frames=media.frames if valid.any() else None)


def _random(media: ClipMedia, kind: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{kind} {media.clip_key}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
