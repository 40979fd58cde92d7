"""Scores of detected events against a data set's own, as spans of time: mean average precision."""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from models.applications.event_detection import COLUMNS
from models.metrics import Span, detection_map
from schemas import UsageError
from schemas.events import Modality
from schemas.manifests import read_events, read_manifest
from schemas.messages import printable, quoted

Sides = dict[Modality, list[Span]]


def score_detections(
    path: Path, dataset: str, annotations: Path, split: str
) -> tuple[dict[str, float], int]:
    """Return the scores of a file of events, and how many clips of the split they are taken over.

    The file has the columns of events.csv (`models/predict.py`); clips go by key or by video id.
    An event counts where it is heard and seen at once, with the smaller of the two scores.
    `UsageError` for a file that cannot be read or is of other clips, or a split without events.
    """
    clips = list(read_manifest(dataset, annotations, split))
    keys = {clip.video_id: clip.key for clip in clips} | {clip.key: clip.key for clip in clips}
    truth: Sides = {"audio": [], "visual": []}
    for event in read_events(dataset, annotations, split):
        if event.clip_key in keys:
            span = Span(event.clip_key, event.label, event.onset_s, event.offset_s)
            truth[event.modality].append(span)
    true = truth["audio"] if truth["audio"] == truth["visual"] else list(at_once(truth))
    if not true:
        raise UsageError(f"split {split} of {dataset} has no event that is heard and seen")
    found: Sides = {"audio": [], "visual": []}
    strangers = []
    for side, span in read_detections(path):
        if span.clip in keys:
            found[side].append(span._replace(clip=keys[span.clip]))
        else:
            strangers.append(span.clip)
    if strangers and not found["audio"] and not found["visual"]:
        raise UsageError(
            f"{path} has no event of split {split} of {dataset}, its first clip is "
            f"{quoted(strangers[0])}; give the events of that split's videos"
        )
    return detection_map(list(at_once(found)), true), len(clips)


def at_once(sides: Sides) -> Iterator[Span]:
    """Yield where an event is heard and seen: the overlap of both, with the smaller score."""
    seen: dict[tuple[str, str], list[Span]] = {}
    for one in sides["visual"]:
        seen.setdefault((one.clip, one.label), []).append(one)
    for one in sides["audio"]:
        for other in seen.get((one.clip, one.label), ()):
            onset, offset = max(one.onset_s, other.onset_s), min(one.offset_s, other.offset_s)
            if onset < offset:
                yield Span(one.clip, one.label, onset, offset, min(one.score, other.score))


def read_detections(path: Path) -> Iterator[tuple[Modality, Span]]:
    """Yield the events of a file with their modality; `UsageError` for a line that is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read ({printable(str(error), 120)})") from None
    if not rows or rows[0] != list(COLUMNS):
        raise UsageError(f"{path} does not begin with {','.join(COLUMNS)}, as events.csv does")
    return _events(path, rows[1:])


def _events(path: Path, rows: Iterable[Sequence[str]]) -> Iterator[tuple[Modality, Span]]:
    for number, row in enumerate(rows, start=2):
        try:
            key, onset, offset, modality, label, score = row
            span = Span(key, label, float(onset), float(offset), float(score))
            if modality not in ("audio", "visual") or not all(map(math.isfinite, span[2:])):
                raise ValueError
        except ValueError:
            raise UsageError(
                f"{path}, line {number}: expected clip, two times, audio or visual, a label and a "
                f"score, found {quoted(','.join(row))}"
            ) from None
        yield ("audio" if modality == "audio" else "visual"), span
