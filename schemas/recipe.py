"""Recipes: everything that fixes the bytes of the features, with a name and a hash.

Shards of two recipes never mix: the store refuses a job whose recipe hash differs from its own.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from schemas.features import DEFAULT_EXTRACTORS, FEATURES, SNIPPETS, Feature

FRAME_SETTINGS: tuple[str, ...] = ("frames_format", "frames_side", "frames_rate")
"""Settings of extractor `frames` alone."""
BOX_SETTINGS: tuple[str, ...] = ("proposals_source", "proposals_choice", "proposals_overlap")
"""Settings of extractor `proposals` that its recipes did not say before there was a choice."""
BYTES_PER_PIXEL = {"jpeg": 0.25, "webp": 0.15}
"""Size of a stored frame, for estimates: measured on real clips of 320x240 and 480x360, where it
was 0.17 to 0.30 and 0.08 to 0.18."""


DEGRADATIONS = {
    "noise": "white noise under the sound, at so many dB of signal to noise",
    "blur": "Gaussian blur of the frames, its deviation in per cent of the shorter side",
    "drop": "share of the seconds that lose their frames",
}
"""What can be done to media on purpose, to see what a trained run makes of it; the level's unit."""


def read_degradation(text: str) -> tuple[str, float]:
    """Return kind and level of a degradation; ValueError for what is none.

    >>> read_degradation("noise:10")
    ('noise', 10.0)
    """
    kind, _, number = text.partition(":")
    try:
        level = float(number)
    except ValueError:
        level = math.nan
    allowed = {"noise": (-100.0, 100.0), "blur": (0.0, 50.0), "drop": (0.0, 1.0)}
    low, high = allowed.get(kind, (math.nan, math.nan))
    if not low <= level <= high:
        kinds = ", ".join(f"{name}:{a:g}..{b:g}" for name, (a, b) in allowed.items())
        raise ValueError(f"{text!r} is no degradation; allowed are {kinds}")
    return kind, level


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How clips become features: sampling, resizing, normalisation, nets, weights."""

    name: str
    """Name of the recipe, printed with every result."""
    version: int = 2
    """Raised whenever a change of the code changes a feature's bytes."""
    frames_per_second: int = 8
    """Frames kept per second of video."""
    sampler: Literal["ffmpeg-r", "timestamp"] = "ffmpeg-r"
    """`ffmpeg-r`: `ffmpeg -r 8`, then round(linspace(0, n-1, 8 T)) over the n frames that exist;
    `timestamp`: the frame shown at the middle of each eighth of a second."""
    jpeg: bool = True
    """Pass frames through ffmpeg's JPEG at its default quality, as the LLP authors did."""
    sample_rate: int = 16_000
    """Audio is mixed to mono at this sample rate, in Hz."""
    resnet152_resize: int = 256
    """Shorter side before the 224 crop, in pixels (bilinear)."""
    resnet152_frames: Literal["mean", "keep"] = "mean"
    """Store the mean of a second's frame features, or each of them."""
    vggish_relu: bool = True
    """Keep the ReLU on the 128 outputs (features of LLP) or take the value before it."""
    vggish_pca: bool = False
    """Apply AudioSet's PCA and 8-bit quantisation to VGGish."""
    proposals_per_snippet: int = 10
    """Boxes kept for each second's middle frame."""
    proposals_source: Literal["edgeboxes", "selective-search", "rpn"] = "edgeboxes"
    """Where boxes come from: EdgeBoxes, selective search, or a trained region proposal network."""
    proposals_choice: Literal["spread", "best"] = "spread"
    """Which boxes are kept: of several hundred those that do not overlap much, of every size, with
    the whole frame among them; or the best of the source, as before there was a choice."""
    proposals_overlap: float = 0.6
    """Intersection over union above which spread keeps the better one of two boxes."""
    proposals_edges: Literal["gradient", "structured"] = "gradient"
    """Edge map under EdgeBoxes: image gradient, or the structured-edge model given by its file."""
    proposals_context: Literal["none", "1.8x"] = "none"
    """Whether a box has the feature of its surroundings too: of the box enlarged 1.8 times."""
    proposals_type: Literal["float32", "float16"] = "float32"
    """Numbers that the features of boxes are stored in; half precision takes half the room."""
    logmel_type: Literal["float32", "float16"] = "float32"
    """Numbers that log-mel is stored in; half precision takes half the room."""
    logmel_windows: Literal["16ms", "64ms"] = "16ms"
    """`16ms`: 100 windows a second, as Fayek & Kumar; `64ms`: 24 a second, as CVSSP."""
    ncp_windows: Literal["all", "loudest"] = "all"
    """Windows over which a component's VGGish is averaged: all of them every 0.48 s, as those of
    `segments`, or the five of 0.96 s in which it is loudest, as before there was a choice."""
    frames_format: Literal["jpeg", "webp"] = "jpeg"
    """How extractor `frames` encodes a frame."""
    frames_side: int = 256
    """Shorter side of the frames that it stores, in pixels; smaller ones keep their size."""
    frames_rate: int = 8
    """Frames that it stores per second, a divisor of `frames_per_second`."""
    degrade: str = ""
    """What was done to the media before, `<kind>:<level>` as `read_degradation` takes it."""
    extractors: tuple[str, ...] = DEFAULT_EXTRACTORS
    """Which extractors ran."""
    weights: str = "pretrained"
    """`pretrained`, or `seeded:<n>` for calibrated random weights."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the visual nets."""

    def __post_init__(self) -> None:
        if self.jpeg != (self.sampler == "ffmpeg-r"):
            raise ValueError(
                f"recipe {self.name}: sampler {self.sampler!r} with jpeg={self.jpeg} is not made; "
                "ffmpeg-r goes with JPEG, timestamp without"
            )
        if not 0.0 < self.proposals_overlap <= 1.0:
            raise ValueError(
                f"recipe {self.name}: proposals_overlap is {self.proposals_overlap}; allowed is "
                "above 0 to 1"
            )
        if self.degrade:
            read_degradation(self.degrade)

    @property
    def stores_frames(self) -> bool:
        """Whether extractor `frames` ran; only then its settings change anything."""
        return "frames" in self.extractors

    @property
    def hash(self) -> str:
        """First 12 hex digits of the sha256 over every setting that counts."""
        text = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def settings(self) -> dict[str, Any]:
        """Return all settings that count.

        Those of stored frames count where there are some, types of numbers and windows of log-mel
        where they are not float32 and 16 ms, `degrade` where something was done, `ncp_windows`
        where there are components over other windows than before there was a choice, the choice of
        boxes where there are boxes and it is another than before: recipes without them keep their
        hash.
        """
        unused = () if self.stores_frames else FRAME_SETTINGS
        unused += () if self.degrade else ("degrade",)
        unused += ("logmel_type",) if self.logmel_type == "float32" else ()
        unused += ("logmel_windows",) if self.logmel_windows == "16ms" else ()
        chosen = "ncp" in self.extractors and self.ncp_windows != "loudest"
        unused += () if chosen else ("ncp_windows",)
        unused += self._unused_of_boxes()
        return {name: value for name, value in asdict(self).items() if name not in unused}

    def _unused_of_boxes(self) -> tuple[str, ...]:
        boxes = "proposals" in self.extractors
        spread = boxes and self.proposals_choice == "spread"
        other_source = boxes and self.proposals_source != "edgeboxes"
        context = boxes and self.proposals_context != "none"
        half = boxes and self.proposals_type != "float32"
        return (
            *(() if spread else ("proposals_choice", "proposals_overlap")),
            *(() if other_source else ("proposals_source",)),
            *(() if context else ("proposals_context",)),
            *(() if half else ("proposals_type",)),
        )

    def to_json(self) -> dict[str, Any]:
        """Return all settings that count and the hash, ready for `manifest.json`."""
        return {**self.settings(), "hash": self.hash}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Recipe":
        """Read a recipe back from `to_json`; ValueError for what is none."""
        settings = {key: value for key, value in data.items() if key != "hash"}
        if "ncp" in settings.get("extractors", ()):
            settings.setdefault("ncp_windows", "loudest")
        if "proposals" in settings.get("extractors", ()):
            settings.setdefault("proposals_choice", "best")
        try:
            recipe = cls(**{**settings, "extractors": tuple(settings["extractors"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"it holds no recipe of this program: {error}") from None
        if data.get("hash", recipe.hash) != recipe.hash:
            raise ValueError(f"its recipe has the hash {recipe.hash}, not {data['hash']!r}")
        return recipe

    def feature(self, extractor: str) -> Feature:
        """Return what an extractor gives under this recipe; KeyError for an unknown name."""
        feature = FEATURES[extractor]
        if feature.per_frame and self.resnet152_frames == "keep":
            return replace(feature, shape=(self.frames_per_second, *feature.shape))
        if extractor == "logmel":
            shape = (24, 64) if self.logmel_windows == "64ms" else feature.shape
            half = self.logmel_type == "float16"
            return replace(feature, shape=shape, dtype=pa.float16() if half else feature.dtype)
        if extractor == "proposals":
            return replace(
                feature,
                rows_per_second=self.proposals_per_snippet,
                paired="" if self.proposals_context == "none" else "context",
                dtype=pa.float16() if self.proposals_type == "float16" else feature.dtype,
            )
        if extractor == "frames":
            bytes_each = BYTES_PER_PIXEL[self.frames_format] * self.frames_side**2 * 4 / 3
            return replace(feature, rows_per_second=self.frames_rate, other_bytes=bytes_each)
        return feature

    def features(self) -> tuple[Feature, ...]:
        """Return what the recipe's extractors give."""
        return tuple(self.feature(name) for name in self.extractors)

    def snippet_features(self) -> tuple[Feature, ...]:
        """Return the feature columns of `snippets`: those that ran, and the default ones."""
        return tuple(
            self.feature(name)
            for name, feature in FEATURES.items()
            if feature.table == SNIPPETS and (feature.default or name in self.extractors)
        )

    def with_(self, **changes: Any) -> "Recipe":
        """Return a copy with some settings changed."""
        return replace(self, **changes)


RECIPES = {
    "llp-eccv20": Recipe(name="llp-eccv20"),
    "clean": Recipe(name="clean", sampler="timestamp", jpeg=False),
    "quick": Recipe(name="quick", sampler="timestamp", jpeg=False, frames_per_second=1),
    "audioset-vggish": Recipe(name="audioset-vggish", vggish_relu=False, vggish_pca=True),
}
"""Every recipe by name; `llp-eccv20` is the default."""
