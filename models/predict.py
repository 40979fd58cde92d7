"""Parse new media with a trained run: what is heard and what is seen when.

python models/predict.py --run runs/han-1 clip.mp4
python models/predict.py --run runs/han-1 holiday/*.mp4 --out parsed

Features are made as the run's own were. Writes events.csv (file, modality, label, onset, offset,
probability) and a picture a file. Models that tag whole clips say nothing about when; their runs
are refused.
"""

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as `python models/predict.py`: import this checkout
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from models.applications.new_media import Run, new_features, open_run
from models.data.clips import ClipData, open_clips
from models.data.parquet import read_table
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from models.tasks.parsing import Predictions, predict
from models.training.figures import save
from schemas import Event, UsageError

PROGRAM = "models/predict.py"
HEARD_OR_SEEN = (("audio", "vggish"), ("visual", "resnet152"))
"""Each modality with the feature that says whether a second has it."""
ARRAYS = ("clip", "audio", "visual", "heard", "seen")
"""What `Predictions` hold for each clip."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, on which media, and where the answer goes."""

    media: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Video or sound files."""
    run: Path | None = None
    """Run folder of a parsing model, such as han."""
    out: Path = Path("predictions")
    """Folder for events.csv and the pictures."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""


@dataclass(frozen=True)
class Found:
    """An event that the model found, with its mean probability."""

    event: Event
    probability: float


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    cli.refuse_unknown(arguments, (Options,), PROGRAM)
    options = cli.parse(Options, arguments, PROGRAM, description=__doc__)
    if options.run is None or not options.media:
        raise UsageError(f"say which run, and which media: {PROGRAM} --run RUN MEDIA")
    run = open_run(options.run)
    if run.card.judge:
        raise UsageError(
            f"{run.folder} is a run of {run.card.name}, which tags whole clips; parsing needs a "
            "model such as han"
        )
    with new_features(options.media, run, weights_dir=options.weights_dir) as store:
        data = open_clips(store, run.needs, classes=run.classes)
        found = parse(run, data)
    out = console()
    lines = [["file", "modality", "label", "onset", "offset", "probability"]]
    for index, path in enumerate(options.media):
        events = events_of(found, data, index)
        out.print(events_table(path.name, events))
        picture = options.out / f"{index:04d}-{path.stem}.png"
        draw(picture, path.name, found, data, index)
        lines += [[str(path), *_cells(one)] for one in events]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    table = options.out / "events.csv"
    files.write_whole(table, lambda place: place.write_text(text.getvalue()))
    out.print(f"Events: {table}. Pictures beside it.")


def parse(run: Run, data: ClipData) -> Predictions:
    """What the run's model says about all clips; nothing where a clip lacks the modality.

    Every clip is looked at by itself in its own length, so that it does not matter which others
    there are.
    """
    clips = read_table(data.manifest, "clips", ["clip_key", "n_snippets"]).to_pylist()
    lengths = {one["clip_key"]: one["n_snippets"] for one in clips}
    parts = []
    for row, key in enumerate(data.keys):
        one = predict(run.model, alone(data, row, lengths[key]), torch.tensor([0]), run.config)
        parts.append(filled_up(one, data.seconds))
    found = Predictions(
        rows=torch.arange(len(data.keys)),
        **{name: np.concatenate([getattr(one, name) for one in parts]) for name in ARRAYS},
    )
    decided = {"audio": found.heard, "visual": found.seen}
    for modality, feature in HEARD_OR_SEEN:
        if feature in data.present:
            decided[modality] &= data.present[feature].numpy()[:, :, None]
    return found


def alone(data: ClipData, row: int, seconds: int) -> ClipData:
    """One clip, without the seconds behind its end."""
    place = slice(row, row + 1)
    return replace(
        data,
        keys=data.keys[place],
        seconds=seconds,
        features={name: values[place, :seconds] for name, values in data.features.items()},
        present={name: values[place, :seconds] for name, values in data.present.items()},
        labels=data.labels[place],
    )


def filled_up(one: Predictions, seconds: int) -> Predictions:
    """The same with nothing in the seconds behind the end, up to so many."""
    behind = ((0, 0), (0, seconds - one.audio.shape[1]), (0, 0))
    longer: dict[str, Any] = {
        name: np.pad(getattr(one, name), behind) for name in ARRAYS if name != "clip"
    }
    return replace(one, **longer)


def events_of(found: Predictions, data: ClipData, index: int) -> list[Found]:
    """Events of one clip, by modality and onset: each unbroken run of seconds of a class."""
    events = []
    sides = (("audio", found.heard, found.audio), ("visual", found.seen, found.visual))
    for modality, decided, probability in sides:
        for column, label in enumerate(data.vocabulary.names):
            for onset, offset in stretches(decided[index, :, column]):
                mean = float(probability[index, onset:offset, column].mean())
                event = Event(data.keys[index], modality, onset, offset, label)  # type: ignore[arg-type]
                events.append(Found(event, mean))
    return sorted(events, key=lambda one: (one.event.modality, one.event.onset_s))


def stretches(decided: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Unbroken runs of true seconds [T] as (first, one after the last).

    >>> stretches(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], decided.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def events_table(name: str, events: Sequence[Found]) -> Table:
    """Events of a clip for the eye."""
    title = name if events else f"{name}: no event found"
    table = Table(
        "modality", "label", "onset s", "offset s", "probability", title=title,
        title_justify="left",
    )  # fmt: skip
    for one in events:
        table.add_row(*_cells(one))
    return table


def _cells(one: Found) -> list[str]:
    event = one.event
    times = (f"{event.onset_s:g}", f"{event.offset_s:g}")
    return [event.modality, event.label, *times, f"{one.probability:.3f}"]


def draw(path: Path, title: str, found: Predictions, data: ClipData, index: int) -> None:
    """Probabilities of each class over the seconds, audio above visual; found events framed."""
    figure = Figure(figsize=(8, 1 + 0.5 * len(data.vocabulary)), layout="constrained")
    axes: Any = figure.subplots(2, 1, sharex=True)
    sides = (("audio", found.heard, found.audio), ("visual", found.seen, found.visual))
    for ax, (modality, decided, probability) in zip(axes, sides, strict=True):
        shown = ax.imshow(
            probability[index].T, aspect="auto", vmin=0, vmax=1, cmap="Blues",
            extent=(0, data.seconds, len(data.vocabulary), 0),
        )  # fmt: skip
        for column in range(len(data.vocabulary)):
            runs_of_seconds = [(a, b - a) for a, b in stretches(decided[index, :, column])]
            ax.broken_barh(
                runs_of_seconds, (column + 0.06, 0.88), facecolors="none", edgecolors="#e07a1f",
                linewidth=2,
            )  # fmt: skip
        ax.set_yticks(np.arange(len(data.vocabulary)) + 0.5, data.vocabulary.names, fontsize=8)
        ax.set_ylabel(modality)
        figure.colorbar(shown, ax=ax, label="probability")
    axes[-1].set_xlabel("seconds; framed: found events")
    figure.suptitle(title)
    save(figure, path)


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
