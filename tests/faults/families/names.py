"""Hostile names of media files and classes, for what the commands on media print and write."""

import csv
import io
import json
import os
import random
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.applications import event_detection as detection
from models.applications.event_figures import save_predictions
from models.applications.media_files import Audio, shortened
from models.applications.separation.sources import Source, source_table, write_sources
from models.data.clips import ClipData
from models.runtime import files
from models.runtime.console import console
from models.tasks.parsing import Predictions
from schemas import SAMPLE_RATE, StoreManifest, Vocabulary
from tests.faults.family import Family, Outcome

SPLINTERS = (
    "", "a", " ", ".", "..", "-", "_", "$", "$$", "$\\frac$", "\\", "^{", "%", "[/]", "[bold]",
    ":smile:", "\x00", "\x1b[31m", "\x1b]0;x\x07", "\r", "\n", "\t", "\x7f", "\u202e", "\u2028",
    "\ufeff", "\udcff", "\U0001f3b5", "\u97f3", "e\u0301", "'", '"', ",", ";", "=1+1", "/", "../",
    "x" * 300, "\u00e9" * 200,
)  # fmt: skip
"""What names are made of."""
SECONDS = 3


@dataclass(frozen=True)
class Names:
    """Names of media files and of classes."""

    media: tuple[bytes, ...]
    classes: tuple[str, ...]


def make(dice: random.Random) -> Names:
    """Put splinters together; no name of a file has a slash or NUL, no two classes are alike."""

    def name() -> str:
        return "".join(dice.choices(SPLINTERS, k=dice.randrange(1, 6)))

    def file_name() -> bytes:
        data = name().encode("utf-8", "surrogateescape").replace(b"/", b"|").replace(b"\x00", b"0")
        return data[:240] + dice.choice((b".mp4", b".WAV", b".\xff.ogg"))

    media = tuple(file_name() for _ in range(dice.randrange(1, 3)))
    return Names(media, tuple(dict.fromkeys(name() for _ in range(dice.randrange(1, 5)))))


def clips_of(case: Names) -> tuple[ClipData, Predictions]:
    """Return clips in which every class is heard and seen, one per media file."""
    shape = (len(case.media), SECONDS, len(case.classes))
    every = np.ones(shape, np.float32)
    data = ClipData(
        manifest=StoreManifest(Path("none"), {}),
        keys=tuple(f"clip{index:04d}" for index in range(len(case.media))),
        splits=np.array([""] * len(case.media)), vocabulary=Vocabulary(case.classes),
        seconds=SECONDS, labels=torch.zeros(len(case.media), len(case.classes)), features={},
        present={},
    )  # fmt: skip
    return data, Predictions(
        rows=torch.arange(len(case.media)), clip=every[:, 0], audio=every, visual=every,
        heard=every > 0, seen=every > 0,
    )  # fmt: skip


def run_events(case: Names, folder: Path) -> Outcome:
    """Write and print the events of all files; every one is found again under its names."""
    data, predictions = clips_of(case)
    media = [Path(os.fsdecode(name)) for name in case.media]
    events = [detection.detect_events(predictions, data, row) for row in range(len(media))]
    rows = [
        row
        for path, detected in zip(media, events, strict=True)
        for row in detection.event_rows(str(path), detected)
    ]
    files.write_csv(folder / "events.csv", [detection.COLUMNS, *rows])
    with (folder / "events.csv").open(newline="", encoding="utf-8") as file:
        found = {(row["clip_key"], row["label"]) for row in csv.DictReader(file)}
    wanted = {(written(str(path)), written(name)) for path in media for name in case.classes}
    tables = [
        detection.events_table(path.name, detected)
        for path, detected in zip(media, events, strict=True)
    ]
    return Outcome.ROWS if found == wanted and shown_plainly(*tables) else Outcome.WRONG_ROWS


def run_figures(case: Names, folder: Path) -> Outcome:
    """Draw a figure of the first file."""
    data, predictions = clips_of(case)
    path = Path(os.fsdecode(case.media[0]))
    figure = folder / f"0000-{shortened(path.stem)}.png"
    save_predictions(figure, path.name, predictions, data, 0, SECONDS, "data set x")
    return Outcome.ROWS if figure.read_bytes()[1:4] == b"PNG" else Outcome.WRONG_ROWS


def run_sources(case: Names, folder: Path) -> Outcome:
    """Write the sources of all classes; none overwrites another one."""
    waveform = np.zeros(1024, np.float32)
    audio = Audio(samples=waveform[None], rate=SAMPLE_RATE)
    sources = [
        Source(
            label=name, score=1.0, weights=torch.ones(2), waveform=waveform, rest=waveform,
            audio=audio, audio_rest=audio,
        )
        for name in case.classes
    ]  # fmt: skip
    write_sources(folder, sources)
    components = json.loads((folder / "separation.json").read_text())["components"]
    waveforms = len(list(folder.glob("*.wav")))
    right = set(components) == set(case.classes) and waveforms == 2 * len(case.classes)
    return Outcome.ROWS if right and shown_plainly(source_table(sources)) else Outcome.WRONG_ROWS


def written(name: str) -> str:
    """Return a name as it stands in a file of UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def shown_plainly(*tables: Any) -> bool:
    """Return whether tables are printed without anything that a terminal acts on."""
    out = io.StringIO()
    with redirect_stdout(out):
        for table in tables:
            console().print(table)
    return out.getvalue().replace("\n", "").isprintable()


FAMILIES = (
    Family("event_names", make, run_events, sample=30),
    Family("figure_names", make, run_figures, sample=2, most=300),
    Family("source_names", make, run_sources, sample=30),
)
