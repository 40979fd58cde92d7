"""Tags of media: what a tagging run, a fusion too, says about whole clips, and over time.

Letters: N clips, C classes, S segments.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.applications.event_detection import clip_seconds
from models.applications.new_media import Run
from models.contract.config import PixelConfig
from models.data.clips import ClipData
from models.data.pixels import PixelClips
from models.data.source import ClipTable
from models.tasks.sound_events import Timeline
from models.tasks.tagging import BATCH, Tagging
from schemas.features import feature_of


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipTags:
    """What a run says about N clips."""

    scores: NDArray[np.float32]
    """Scores from 0 to 1, [N, C]; zero for a clip of which the run can read nothing."""
    readable: NDArray[np.bool_]
    """[N] whether a clip has any feature that the run reads."""
    timelines: list[NDArray[np.float32]]
    """Scores of each clip's segments, [S, C]; empty for a net that has no timeline."""


def timeline_of(run: Run) -> Timeline | None:
    """Return the grid of the scores that a run's net gives over time, None where it gives none."""
    task = run.card.task
    grid = task.timeline if isinstance(task, Tagging) else None
    return grid if grid is not None and grid.feature in ("", *run.needs) else None


def tag_clips(run: Run, data: ClipData | PixelClips) -> ClipTags:
    """Return the scores of all clips of a store with the features of `run.needs`.

    Clips of one length are scored together, so that no clip depends on those beside it. The scores
    of a fusion are those of its runs, fused.
    """
    if run.fused:
        return fused_tags(run, data)
    grid, count = timeline_of(run), len(data.keys)
    if isinstance(data, PixelClips) and isinstance(run.config, PixelConfig):
        data = data.seen_by(run.config)
    scores = np.zeros((count, len(run.classes)), np.float32)
    timelines: list[NDArray[np.float32]] = [scores[:0]] * (count if grid else 0)
    lengths = np.array(clip_seconds(data))
    for rows, clips in of_one_length(data, lengths):
        left = rows
        for batch in clips.batches(torch.arange(len(rows)), BATCH):
            chosen, left = left[: len(batch.labels)], left[len(batch.labels) :]
            with torch.no_grad():
                outputs = run.model(batch).float()
            scores[chosen] = outputs.clip.numpy()
            if grid is not None:
                segments = grid.segments(float(lengths[chosen[0]]))
                values = outputs.extra[grid.name][:, :segments].numpy()
                for row, value in zip(chosen, values, strict=True):
                    timelines[row] = value
    readable = np.any([data.having(name) for name in run.needs], axis=0)
    scores[~readable] = 0.0
    return ClipTags(scores=scores, readable=readable, timelines=timelines)


def fused_tags(run: Run, data: ClipData | PixelClips) -> ClipTags:
    """Return the scores of a fusion: its runs look at the clips, then it looks at their scores."""
    parts = {name: tag_clips(part, data) for name, part in run.fused.items()}
    clips = ClipData(
        **{name: getattr(data, name) for name in ClipTable.__dataclass_fields__},
        features={name: torch.from_numpy(part.scores)[:, None] for name, part in parts.items()},
        present={name: torch.from_numpy(part.readable)[:, None] for name, part in parts.items()},
    )
    with torch.no_grad():
        batches = clips.batches(torch.arange(len(data.keys)), BATCH)
        scores = np.concatenate([run.model(batch).clip.float().numpy() for batch in batches])
    readable = np.any([part.readable for part in parts.values()], axis=0)
    return ClipTags(scores=scores, readable=readable, timelines=[])


def of_one_length(
    data: ClipData | PixelClips, lengths: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], ClipData | PixelClips]]:
    """Yield the clips of each length, without the seconds behind their end: rows [n] and clips."""
    for seconds in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == seconds)
        yield rows, data.cut(rows, seconds)


def lacking(run: Run) -> str:
    """Say what a clip lacks of which a run can read nothing."""
    kinds = sorted({held.modality for held in map(feature_of, run.needs) if held is not None})
    words = {"audio": "audio", "visual": "pictures"}
    what = " and no ".join(words[kind] for kind in kinds) or "feature"
    return f"has no {what}, and {run.card.name} reads nothing else"
