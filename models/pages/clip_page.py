"""Pages of clips that a run has looked at: what predict, localise and separate say of them.

Each is one file: media are small copies, boxes lie over the video in time with it, and a cursor
follows it over the timelines.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.applications.localisation import InstanceScores, by_second, scaled
from models.applications.new_media import Run
from models.applications.separation.sources import LEAST, Source, Waveform
from models.applications.separation.wiener import spectrogram
from models.contract.report import TimelineRow
from models.contract.shown_clip import MOST_STEPS, ShownClip, pooled_row
from models.pages import copies
from models.pages.run_page import TEMPLATES
from models.runtime import files
from schemas import SAMPLE_RATE, page
from schemas.features import WITHOUT_WEIGHTS
from schemas.messages import printable

MOST_BYTES = 9_000_000
"""Characters of media in a page, so that it stays below 15 MB."""
REGIONS = 5
"""Best boxes of a second that are drawn."""
_RANGE_DB = 70
"""A spectrogram is dark from so far below the loudest place on."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A box over the video during one second, edges as shares of the frame."""

    label: str
    second: int
    x: float
    y: float
    width: float
    height: float
    opacity: float


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One class over the time of a clip."""

    row: TimelineRow
    hop_s: float
    peak_s: float
    """Where it is highest, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound to hear, as waveform and as spectrogram."""

    name: str
    copy: copies.Copy
    outline: str
    picture: str
    said: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One clip of a page."""

    name: str
    seconds: float
    copy: copies.Copy
    strips: Sequence[Strip] = ()
    regions: Sequence[Region] = ()
    events: Sequence[Sequence[str]] = ()
    tags: Sequence[tuple[str, float, float]] = ()
    places: Sequence[tuple[str, float, int | None, float | None]] = ()
    """Class, score, second of its best box, start of its best audio segment."""
    mixture: Sound | None = None
    sounds: Sequence[Sound] = ()


def write_predictions(html: Path, run: Run, clips: Sequence[ShownClip], files_said: int) -> None:
    """Write the page of an answer of `models/predict.py`; `files_said` is how many it is about."""
    what = "Events" if any(clip.events for clip in clips) or not clips[0].tags else "Tags"
    named = printable(clips[0].path.name, 120) if files_said == 1 else f"{files_said:,} files"
    sections, room = [], MOST_BYTES
    for clip in clips:
        copy = _copy(clip.path, room)
        room -= len(copy.address)
        sections.append(
            Section(
                name=printable(clip.path.name, 120), seconds=clip.seconds, copy=copy,
                strips=list(_strips(clip.rows, clip.hop_s)), events=clip.events, tags=clip.tags,
            )
        )  # fmt: skip
    left = files_said - len(clips)
    said = f"The first {len(clips)} of {files_said:,} files; the CSV holds all." if left else ""
    _write(html, run, f"{what} of {named}", sections, said)


def write_localisation(
    html: Path, media: Path, run: Run, instances: InstanceScores, labels: Sequence[str]
) -> None:
    """Write the page of `models/localise.py`: boxes over the video, and when a class sounds."""
    columns = {label: run.classes.index(label) for label in labels}
    section = Section(
        name=printable(media.name, 120), seconds=float(instances.seconds),
        copy=_copy(media, MOST_BYTES),
        strips=list(_strips(_instance_rows(instances, columns), 1.0)),
        regions=list(_regions(instances, columns)),
        places=[_place(instances, label, column) for label, column in columns.items()],
    )  # fmt: skip
    _write(html, run, f"Where and when in {section.name}", [section])


def write_separation(
    html: Path, media: Path, run: Run, mixture: Waveform, sources: Sequence[Source]
) -> None:
    """Write the page of a clip of `models/separate.py`: the mixture, each source, each rest."""
    peak, top = float(np.abs(mixture).max()), float(spectrogram(mixture).max())
    copy = _copy(media, MOST_BYTES)
    room, sounds = MOST_BYTES - len(copy.address), []
    for source in sources:
        used = int((source.weights >= LEAST).sum())
        said = f"score {source.score:.2f}; {used} of {len(source.weights)} components"
        for name, waveform, words in (
            (source.label, source.waveform, said),
            (f"without {source.label}", source.rest, "the mixture without the source"),
        ):
            sound = _sound(name, waveform, peak, top, words, room)
            room -= len(sound.copy.address)
            sounds.append(sound)
    section = Section(
        name=printable(media.name, 120), seconds=len(mixture) / SAMPLE_RATE, copy=copy,
        mixture=_sound("mixture", mixture, peak, top, "", 0), sounds=sounds,
    )  # fmt: skip
    _write(html, run, f"Sources in {section.name}", [section])


def _write(html: Path, run: Run, title: str, sections: Sequence[Section], said: str = "") -> None:
    weights = run.recipe.weights
    random = weights.startswith("seeded") and not set(run.needs) <= WITHOUT_WEIGHTS
    facts: dict[str, Any] = {
        "title": title,
        "head": [("run", printable(run.folder.name, 120)), ("model", run.card.name),
                 ("trained on", run.origin.partition(": ")[2]), ("classes", len(run.classes))],
        "warnings": [f"The run was trained on features from random weights ({weights}): what it "
                     "says is good for tests alone."] if random else [],
        "sections": sections, "said": said, "most_s": copies.MOST_S,
    }  # fmt: skip
    files.write_text(html, page.render("clips.html.j2", TEMPLATES, **facts))


def _copy(path: Path, room: int) -> copies.Copy:
    """Return a copy of a file that fits into `room` characters."""
    copy = copies.of_file(path) if room > 0 else copies.Copy()
    return copy if copy.trouble or 0 < len(copy.address) <= room else _no_room()


def _no_room() -> copies.Copy:
    return copies.Copy(
        trouble=f"left out: a page holds {MOST_BYTES / 1e6:.0f} MB of media; the file itself plays"
    )


def _sound(
    name: str, waveform: Waveform, peak: float, top: float, said: str, room: int
) -> Sound:  # fmt: skip
    copy = copies.of_waveform(waveform) if room > 0 else copies.Copy()
    return Sound(
        name=name, said=said, copy=copy if len(copy.address) <= room else _no_room(),
        outline=copies.outline(waveform, peak),
        picture=copies.picture(spectrogram(waveform), top - _RANGE_DB, top),
    )  # fmt: skip


def _strips(rows: Iterable[TimelineRow], hop_s: float) -> Iterator[Strip]:
    for row in rows:
        together = math.ceil(len(row.probability) / MOST_STEPS)
        shown = pooled_row(row, together) if together > 1 else row
        peak = int(np.argmax(row.probability)) * hop_s
        yield Strip(row=shown, hop_s=hop_s * max(1, together), peak_s=peak)


def _instance_rows(instances: InstanceScores, columns: dict[str, int]) -> Iterator[TimelineRow]:
    """Yield the best box of each second, and the best audio segment, for each class; scaled."""
    boxes, heard = scaled(instances.box_scores), by_second(instances)
    seen = np.zeros((instances.seconds, boxes.shape[1]), np.float32)
    np.maximum.at(seen, instances.box_seconds, boxes)
    sides = (("best box", seen, instances.boxes), ("audio", heard, instances.segment_starts))
    for label, column in columns.items():
        for name, values, there in sides:
            if len(there):
                yield TimelineRow(
                    label=label, modality=name, truth=None,
                    predicted=[False] * len(values), probability=values[:, column].tolist(),
                )  # fmt: skip


def _regions(instances: InstanceScores, columns: dict[str, int]) -> Iterator[Region]:
    """Yield the best boxes of every second that the copy of the video holds, the best last."""
    opacity = scaled(instances.box_scores)
    for label, column in columns.items():
        for second in range(min(instances.seconds, copies.MOST_S)):
            here = np.flatnonzero(instances.box_seconds == second)
            for index in here[np.argsort(opacity[here, column])][-REGIONS:].tolist():
                x0, y0, x1, y1 = instances.boxes[index].tolist()
                yield Region(
                    label=label, second=second, x=x0, y=y0, width=x1 - x0, height=y1 - y0,
                    opacity=max(0.15, float(opacity[index, column])),
                )  # fmt: skip


def _place(
    instances: InstanceScores, label: str, column: int
) -> tuple[str, float, int | None, float | None]:
    box = segment = None
    if len(instances.boxes):
        box = int(instances.box_seconds[instances.box_scores[:, column].argmax()])
    if len(instances.segment_starts):
        segment = float(instances.segment_starts[instances.segment_scores[:, column].argmax()])
    return label, float(instances.clip[column]), box, segment
