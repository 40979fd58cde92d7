"""The one table of features: what each extractor gives, and where and how it is stored.

Tables, rows, validation, plans, imports, weights, precision, recipes and the trainer's needs all
read `FEATURES`. A new extractor is one entry here (see CONTRIBUTING).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from schemas.events import Modality

SNIPPETS = "snippets"
"""The table of the one-second grid, whose feature columns several extractors fill."""

SEGMENT_S, SEGMENT_HOP_S = 0.96, 0.48
"""Length of a window of `segments`, and from one window's start to the next's, in seconds."""

PRESENCE: Mapping[Modality, str] = {"audio": "has_audio", "visual": "has_video"}
"""Column of `clips` that says whether the clip has a modality."""

BOX_CONTEXTS, BOXES = "proposal_contexts", "proposal_boxes"
"""Names by which models ask for the features of the boxes' surroundings, and for the boxes."""
BOX_EDGES = ("x0", "y0", "x1", "y1")
"""Columns of a box's edges, shares of the frame."""

_F32, _I32 = pa.float32(), pa.int32()


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What one extractor gives: the rows, their shape and type, their place, their cost."""

    extractor: str
    """Name in the registry of extractors and in `--extractors`."""
    modality: Modality
    """What a clip must have; without it there are no values."""
    about: str
    """How the values are made, in one line of `beam recipes`."""
    shape: tuple[int, ...]
    """Shape of one row's value; empty for a single value of type `dtype`."""
    dtype: pa.DataType = _F32
    """Arrow type of one number (or of the value, for an empty shape)."""
    table: str = SNIPPETS
    """Table that holds the rows; every other table than `snippets` has one extractor."""
    column: str = ""
    """Column that holds the values; left out: the extractor's name."""
    unit: str = "snippet"
    """What one row stands for, as in `snippet_index`."""
    window_s: float = 1.0
    """Seconds that a row covers, on a regular grid."""
    hop_s: float | None = 1.0
    """Seconds from one row's start to the next's; None for rows on no regular grid."""
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Further columns of a table of rows on no regular grid, in order, before `column`."""
    paired: str = ""
    """A second column of the same shape and type, where the recipe asks for one."""
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further names by which models ask for columns of its table, and these columns."""
    key: tuple[str, ...] = ()
    """Columns that tell the rows of a clip apart; left out: `<unit>_index`."""
    per_frame: bool = False
    """Computed for each frame of a second: the recipe stores their mean, or [frames, *shape]."""
    net: str = ""
    """Net behind it, by its name among the weights (`extractors.nets`); empty without weights."""
    half_precision: bool = False
    """Whether the recipe's `precision` changes it; everything else computes in float32."""
    rows_per_second: float = 1.0
    """Rows per second of clip, for estimates."""
    rows_per_clip: float = 0.0
    """Rows per clip besides, for estimates."""
    other_bytes: float = 0.0
    """Bytes per row in `columns`, for estimates."""
    other_bytes_per_second: float = 0.0
    """Bytes per second of clip in those `columns` that grow with it, for estimates."""
    default: bool = True
    """Whether it runs unless `--extractors` says otherwise; every store has its column."""

    def __post_init__(self) -> None:
        if not self.column:
            object.__setattr__(self, "column", self.extractor)
        if not self.key:
            object.__setattr__(self, "key", (f"{self.unit}_index",))

    @property
    def need(self) -> str:
        """Name by which models ask for it: the column of `snippets`, or the table of its own."""
        return self.column if self.table == SNIPPETS else self.table

    @property
    def presence(self) -> str:
        """Column of `clips` that says whether the clip has the modality."""
        return PRESENCE[self.modality]

    @property
    def row_bytes(self) -> float:
        """Bytes of one row's values before compression."""
        width = 0 if pa.types.is_binary(self.dtype) else self.dtype.bit_width // 8
        return (2 if self.paired else 1) * math.prod(self.shape) * width

    def stored_bytes(self, clips: float, seconds: float) -> float:
        """Return bytes before compression of so many clips that last `seconds` together."""
        rows = self.rows_per_second * seconds + self.rows_per_clip * clips
        return rows * (self.row_bytes + self.other_bytes) + self.other_bytes_per_second * seconds


_BOX = {
    "snippet_index": _I32, "frame_index": _I32, "rank": _I32, **dict.fromkeys(BOX_EDGES, _F32),
    "score": _F32,
}  # fmt: skip
_FRAME = {"snippet_index": _I32, "frame_index": _I32, "width": _I32, "height": _I32}
_COMPONENT = {"component_index": _I32, "w": pa.list_(_F32), "h": pa.list_(_F32)}
_SPECTRUM_BINS, _SPECTRUM_FRAMES_PER_SECOND, _COMPONENTS = 513, 31.25, 20

FEATURES: dict[str, Feature] = {
    feature.extractor: feature
    for feature in (
        Feature(
            extractor="vggish", modality="audio", shape=(128,), net="vggish",
            about="each second of audio by itself, 64 mel bands, VGGish",
        ),
        Feature(
            extractor="resnet152", modality="visual", shape=(2048,), net="resnet152",
            half_precision=True, per_frame=True,
            about="frames: shorter side resized (bilinear), centre 224x224, ImageNet mean and std",
        ),
        Feature(
            extractor="r2plus1d", modality="visual", shape=(512,), net="r2plus1d",
            half_precision=True,
            about="each second's frames, squashed to 112x112 (bilinear), Kinetics mean and std",
        ),
        Feature(
            extractor="logmel", modality="audio", shape=(100, 64),
            about="100 windows per second of audio, 64 mel bands",
        ),
        Feature(
            extractor="segments", modality="audio", shape=(128,), net="vggish",
            table="segments", column="vggish", unit="segment", window_s=SEGMENT_S,
            hop_s=SEGMENT_HOP_S, rows_per_second=1 / SEGMENT_HOP_S,
            about="0.96 s of audio every 0.48 s, VGGish",
        ),
        Feature(
            extractor="proposals", modality="visual", shape=(2048,), net="resnet152",
            half_precision=True, table="proposals", column="feature", unit="box", hop_s=None,
            columns=_BOX, key=("frame_index", "rank"), other_bytes=32,
            also={BOX_CONTEXTS: ("context",), BOXES: ("frame_index", *BOX_EDGES, "score")},
            about="the middle frame of each second; the net sees it at shorter side 224",
        ),
        Feature(
            extractor="ncp", modality="audio", shape=(128,), net="vggish", default=False,
            table="components", column="vggish", unit="component", hop_s=None,
            columns=_COMPONENT, rows_per_second=0, rows_per_clip=_COMPONENTS,
            other_bytes=_SPECTRUM_BINS * 4,
            other_bytes_per_second=_COMPONENTS * _SPECTRUM_FRAMES_PER_SECOND * 4,
            about="20 non-negative components of the whole clip's audio, VGGish of each",
        ),
        Feature(
            extractor="clip", modality="visual", shape=(768,), net="clip", default=False,
            about="the middle frame of each second at 224x224, CLIP's embedding of length 1",
        ),
        Feature(
            extractor="clap", modality="audio", shape=(512,), net="clap", default=False,
            about="each second of audio by itself, repeated to ten, CLAP's embedding of length 1",
        ),
        Feature(
            extractor="frames", modality="visual", shape=(), dtype=pa.binary(), default=False,
            table="frames", column="image", unit="frame", hop_s=None, columns=_FRAME,
            about="frames as JPEG or WebP at a limited size, for nets that train on pixels",
        ),
    )
}  # fmt: skip
"""Every feature by its extractor's name; the order is that of columns and of recipes."""

DEFAULT_EXTRACTORS = tuple(name for name, feature in FEATURES.items() if feature.default)


WITHOUT_WEIGHTS = frozenset(feature.need for feature in FEATURES.values() if not feature.net)
"""What models ask for that comes from no net, so that weights and precision do not change it."""
IMAGE_TABLES = frozenset(
    feature.table for feature in FEATURES.values() if pa.types.is_binary(feature.dtype)
)
"""Tables whose rows hold an encoded image each."""


def feature_tables() -> tuple[str, ...]:
    """Return the tables that features have to themselves, in order."""
    return tuple(feature.table for feature in FEATURES.values() if feature.table != SNIPPETS)


def feature_of(need: str) -> Feature | None:
    """Return what holds the values that models ask for under a name; None for an unknown name."""
    for feature in FEATURES.values():
        if need == feature.need or need in feature.also:
            return feature
    return None


def extractor_of(need: str) -> str:
    """Return the extractor that makes what models ask for under a name; an unknown one as it is.

    >>> extractor_of("components"), extractor_of("proposal_boxes"), extractor_of("logmel")
    ('ncp', 'proposals', 'logmel')
    """
    feature = feature_of(need)
    return need if feature is None else feature.extractor
