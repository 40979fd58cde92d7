"""What a job will need: clips counted from the manifest, and what one of them takes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.jobs.features.pace import Pace
from pipelines.media.media_index import MediaFile, MediaIndex
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.units import ClipTask, into_units
from schemas import Clip, Recipe, UsageError

_SAMPLE = 8192
"""Clips whose units are written out to see how long they are."""
_USUAL_CLIP_S = 10
"""For a clip that lasts to the end of its file."""


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
                media_file = MediaFile(files.join(folder, f"{clip.key}.mp4"), cut=True)
                sample.append(ClipTask(clip, media_file, 1))
        units = sum(len(unit.encode()) for unit in into_units(sample, unit_size))
        return cls(
            clips=n, seconds=seconds, missing=len(missing), shuffled=units / max(1, len(sample)) * n
        )


@dataclass(frozen=True)
class Measured:
    """What the clips of an existing store took, and its recipe."""

    recipe: Recipe
    pace: Pace
    bytes_per_clip: Mapping[str, float]
    """By table, as stored."""

    @classmethod
    def of(cls, out: str) -> "Measured":
        """Add up the receipts of a store; `UsageError` when no clip of it was extracted."""
        store = FeatureStore(out)
        state = store.state()
        clips = len(state.done)
        pace, identity = Pace.of(state.receipts, out), store.identity()
        if not clips or not pace.work() or identity is None:
            raise UsageError(
                f"--like {out} holds no clip that a features job made; give the --out of one"
            )
        bytes_per_clip = {}
        for name, paths in store.parts(state).items():
            if paths:  # files that no reader is led to are left out
                sizes = files.sizes(files.join(out, name))
                held = sum(sizes.get(path.rsplit("/", 1)[1], 0) for path in paths)
                bytes_per_clip[str(name)] = held / clips
        return cls(identity.recipe, pace, bytes_per_clip)


def table_bytes(recipe: Recipe, count: Count) -> dict[str, float]:
    """Return bytes of each table before compression, of the features that the recipe makes."""
    total: dict[str, float] = defaultdict(float)
    for feature in recipe.features():
        total[feature.table] += feature.stored_bytes(count.clips, count.seconds)
    return dict(total)
