"""Dense truth of a store's clips: what is heard and seen when.

Letters: N clips, T seconds, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.parquet import read_table
from models.data.source import ClipTable
from schemas import Event, StoreManifest, UsageError, second_grid
from schemas.manifests import llp, read_events


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseTruth:
    """What is known about clips second by second."""

    grid: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """`audio` and `visual` to bool [N, T, C]; empty where there is no dense truth."""
    splits: frozenset[str] = frozenset()
    """Splits that have some."""
    sound_events: tuple[Event, ...] = ()
    """Events of the audio with their exact times."""
    edition: str = ""
    """Edition of the annotation files, of data sets that have several (`llp.truth_edition`)."""


def read_truth(table: ClipTable, annotations: Path | None) -> DenseTruth:
    """Read the dense truth of a store's clips, from its table or from original annotation files.

    `UsageError` when no annotated event belongs to a clip, or one has an unknown class.
    """
    manifest, keys, vocabulary = table.manifest, table.keys, table.vocabulary
    events = _events(manifest, annotations)
    split_of = dict(zip(keys, table.splits.tolist(), strict=True))
    dense = frozenset(split_of[event.clip_key] for event in events if event.clip_key in split_of)
    if annotations is not None and not dense:
        example = events[0].clip_key if events else "none"
        raise UsageError(
            f"no event in {annotations} belongs to a clip of {manifest.root} (data set "
            f"{manifest.dataset}, first clip {keys[0]}, first annotated clip {example}); "
            "give the annotation files of the same data set"
        )
    if not dense:
        return DenseTruth()
    try:
        grid = {
            "audio": second_grid(events, keys, vocabulary, "audio", table.seconds),
            "visual": second_grid(events, keys, vocabulary, "visual", table.seconds),
        }
    except LookupError as error:
        raise UsageError(f"an event of {annotations or manifest.root} has an {error}") from None
    heard = tuple(
        event for event in events if event.modality == "audio" and event.clip_key in split_of
    )
    named = {event.clip_key for event in events if event.modality == "audio"}
    edition = llp.truth_edition(named) if manifest.dataset == "llp" else ""
    return DenseTruth(grid=grid, splits=dense, sound_events=heard, edition=edition)


def _events(manifest: StoreManifest, annotations: Path | None) -> list[Event]:
    if annotations is not None:
        return list(read_events(manifest.dataset, annotations))
    columns = ["clip_key", "modality", "onset_s", "offset_s", "label"]
    return [Event(**row) for row in read_table(manifest, "events", columns).to_pylist()]
