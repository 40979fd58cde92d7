"""What a job will need: clips counted from the manifest, and what one of them takes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.media.media_index import MediaFile, MediaIndex
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.units import ClipTask, into_units
from schemas import Clip, UsageError

_SAMPLE = 8192
"""Clips whose units are written out to see how long they are."""
_USUAL_CLIP_S = 10
"""For a clip that lasts to the end of its file."""
_FLOAT = 4
_BYTES_A_SECOND = {
    "vggish": 128 * _FLOAT, "resnet152": 2048 * _FLOAT, "r2plus1d": 512 * _FLOAT,
    "logmel": 100 * 64 * _FLOAT, "segments": 128 * _FLOAT / 0.48, "ncp": 20 * 31.25 * _FLOAT,
}  # fmt: skip
"""What each extractor stores of a second, in float32."""
_BYTES_OF_COMPONENTS = 20 * (513 + 128) * _FLOAT
"""What `ncp` stores of a clip besides."""
_BYTES_OF_A_BOX = 2048 * _FLOAT + 32
TABLE_OF = {"segments": "segments", "proposals": "proposals", "ncp": "components"}
"""Extractors that fill a table of their own; the others fill columns of `snippets`."""


@dataclass(frozen=True, kw_only=True)
class Count:
    """What a manifest holds."""

    clips: int
    seconds: int
    """Length of all clips together, each rounded to seconds."""
    missing: int
    """Videos that have no file yet."""
    shuffled: float
    """Bytes that cross the shuffle of a features job."""

    @classmethod
    def of(cls, clips: Iterable[Clip], media: MediaIndex, folder: str, unit_size: int) -> "Count":
        """Count clips one by one; only the ids of videos are held."""
        n = seconds = 0
        missing: set[str] = set()
        sample: list[ClipTask] = []
        for clip in clips:
            n += 1
            seconds += clip.n_snippets or _USUAL_CLIP_S
            if media.find(clip) is None:
                missing.add(clip.video_id)
            if n <= _SAMPLE:
                place = MediaFile(files.join(folder, f"{clip.key}.mp4"), cut=True)
                sample.append(ClipTask(clip, place, 1))
        units = sum(len(unit.encode()) for unit in into_units(sample, unit_size))
        return cls(
            clips=n, seconds=seconds, missing=len(missing), shuffled=units / max(1, len(sample)) * n
        )


@dataclass(frozen=True)
class Measured:
    """What clips of a store of one's own took."""

    seconds_a_clip: float
    bytes_a_clip: Mapping[str, float]
    """By table, as stored."""

    @classmethod
    def of(cls, out: str) -> "Measured":
        """Add up the receipts of a store; `UsageError` when no clip of it was extracted."""
        store = FeatureStore(out)
        state = store.state()
        clips = len(state.done)
        spent = sum(
            seconds
            for receipt in state.receipts
            for stage, seconds in receipt.seconds.items()
            if stage != "decode"  # which runs beside the others
        )
        if not clips or not spent:
            raise UsageError(
                f"--like {out} holds no clip that a features job made; give the --out of one"
            )
        bytes_a_clip = {}
        for name, paths in store.parts(state).items():
            if paths:  # files that no reader is led to are left out
                sizes = files.sizes(files.join(out, name))
                held = sum(sizes.get(path.rsplit("/", 1)[1], 0) for path in paths)
                bytes_a_clip[str(name)] = held / clips
        return cls(spent / clips, bytes_a_clip)


def table_bytes(
    extractors: Iterable[str], count: Count, *, frames: int = 1, proposals: int = 10
) -> dict[str, float]:
    """Bytes of each table before compression, in float32.

    `frames` are the ResNet-152 vectors that are stored of a second, `proposals` its boxes.
    """
    found: dict[str, float] = defaultdict(float)
    for name in extractors:
        if name == "proposals":
            each = float(proposals * _BYTES_OF_A_BOX)
        else:
            each = _BYTES_A_SECOND[name] * (frames if name == "resnet152" else 1)
        found[TABLE_OF.get(name, "snippets")] += each * count.seconds
        if name == "ncp":
            found["components"] += _BYTES_OF_COMPONENTS * count.clips
    return dict(found)
