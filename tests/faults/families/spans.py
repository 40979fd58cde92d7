"""Spans of clips that no list should hold: tiny, huge, beside the file, at odd fractions."""

import math
import random
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.media.media_index import MediaFile
from pipelines.store.units import ClipTask
from schemas import Clip, Reason
from tests.faults.family import Family, Outcome
from tests.faults.media_samples import CLEAN, RECIPE, check, do_tasks, sample

CLIPS = 8
STARTS = (0.0, 5e-324, 1e-300, 1e-05, 0.1, 0.3, 1 / 3, 0.7, 1.19, 1.2, 1.2000001, 1e5, 1e300)
LENGTHS = (1e-12, 1e-06, 0.4999999, 0.5, 1.0, 1.5, math.pi, 20.0, 28_800.5, 1e5, 1e300, math.inf)
ALLOWED = {Reason.TOO_SHORT, Reason.TOO_LARGE, Reason.CORRUPT}


@dataclass(frozen=True)
class Case:
    """Starts and ends in seconds, each with whether the file is the clip itself."""

    clean: bool
    spans: tuple[tuple[float, float, bool], ...]


def make(dice: random.Random) -> Case:
    """Draw spans that a list may hold: each ends after it starts."""
    spans: list[tuple[float, float, bool]] = []
    while len(spans) < CLIPS:
        start = dice.choice(STARTS) * dice.choice((1.0, 1.0, dice.random()))
        end = start + dice.choice(LENGTHS) * dice.choice((1.0, 1.0, dice.random()))
        if start < end:
            spans.append((start, end, dice.random() < 0.5))
    return Case(dice.random() < 0.3, tuple(spans))


def run(case: Case, folder: Path) -> Outcome:
    """Make features of every span of one film of 1.2 s."""
    film = folder / "film.mp4"
    film.write_bytes(sample("mp4"))
    clips = {
        f"clip{number}": (Clip("film", start, end, name=f"clip{number}"), cut)
        for number, (start, end, cut) in enumerate(case.spans)
        if end - start > 28_800 or end - start < 60  # rows for hours say nothing new
    }
    tasks = [ClipTask(clip, MediaFile(str(film), cut), 1) for clip, cut in clips.values()]
    receipt = do_tasks(tasks, folder, CLEAN if case.clean else RECIPE)
    check(receipt, [*clips], folder)
    if any(failure.reason not in ALLOWED for failure in receipt.failed):
        return Outcome.WRONG_ROWS
    if not receipt.done:
        return Outcome.FAILURE
    rows = pq.read_table(folder / "out" / receipt.parts["clips"]).to_pylist()
    right = all(
        row["n_snippets"] == (clips[row["clip_key"]][0].n_snippets or row["n_snippets"])
        and row["n_snippets"] <= 60
        for row in rows
    )
    return Outcome.ROWS if right else Outcome.WRONG_ROWS


FAMILIES = (Family("spans", make, run, sample=1, most=400, time_limit_s=120.0, memory_mb=8192),)
