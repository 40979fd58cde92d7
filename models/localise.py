"""Show which boxes and which stretches of sound speak for a class, and how often they are right.

python models/localise.py --run runs/two_stream-1 clip.mp4 --label Tram
python models/localise.py --run runs/two_stream-1 --truth demo --split test

The first form draws frames with boxes, opaque by score, above heat maps of box and sound scores,
and writes all scores as a table. The second one scores the clips of the run's feature store
against the boxes and events of the demo world that they come from.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as `python models/localise.py`: import this checkout
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from models.applications import localisation_scores as localisation_truth
from models.applications.localisation import Located, Locator, scaled
from models.applications.media_files import file_name, read_frames
from models.applications.new_media import Run, found_labels, known_label, new_features, open_run
from models.data.clips import open_clips
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from models.training import run_folder as runs
from models.training.figures import save
from schemas import UsageError

PROGRAM = "models/localise.py"
BOX_COLOUR = "#39d353"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, on which media or against which truth, and where the figures go."""

    media: tyro.conf.Positional[Path | None] = None
    """Video or sound file to look at."""
    run: Path | None = None
    """Run folder of a model that scores boxes or stretches of sound, such as two_stream."""
    label: str | None = None
    """Class to show; left out: every class that the model finds in the clip."""
    truth: Path | None = None
    """Folder of a demo world: score the clips of the run's store against it."""
    split: str = "test"
    """Split to score."""
    out: Path | None = None
    """Folder for figures and scores; default <name of the media>-localised, or the run folder."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    cli.refuse_unknown(arguments, (Options,), PROGRAM)
    options = cli.parse(Options, arguments, PROGRAM, description=__doc__)
    if options.run is None or (options.media is None) == (options.truth is None):
        raise UsageError(
            f"say which run, and either media or --truth: {PROGRAM} --run RUN MEDIA --label LABEL"
        )
    run = open_run(options.run)
    if not {"proposals", "segments"} & set(run.needs):
        raise UsageError(f"{run.folder} scores neither boxes nor stretches of sound; take another")
    if options.label is not None:
        known_label(run, options.label)
    if options.media is not None:
        show(run, options.media, options)
    else:
        score(run, options)


def show(run: Run, media: Path, options: Options) -> None:
    """Figures and a table for one media file."""
    with new_features([media], run, weights_dir=options.weights_dir) as store:
        located = Locator(run, open_clips(store, run.needs, classes=run.classes)).locate(0)
    if not len(located.boxes) and not len(located.sound_starts):
        raise UsageError(
            f"{media} has neither picture nor sound of the kind that {run.folder} looks at "
            f"({' and '.join(run.needs)})"
        )
    labels = [options.label] if options.label else found_labels(run, located.clip, media.name)
    out = options.out or Path(f"{media.stem}-localised")
    frames = read_frames(media, located.seconds) if len(located.boxes) else None
    for label in labels:
        column = run.classes.index(label)
        save_located(out / f"{file_name(label)}.png", located, column, label, frames)
    files.write_whole(out / "scores.parquet", lambda place: write_scores(place, located, run))
    screen = console()
    screen.print(best_table(run, located, labels))
    screen.print(f"Figures and scores: {out}")


def best_table(run: Run, located: Located, labels: Sequence[str]) -> Table:
    """One line a class: its score, its best box, its best stretch of sound."""
    table = Table(title="Best box and best sound", title_justify="left")
    for head in ("class", "score", "second of the box", "box (x0 y0 x1 y1)", "sound from, s"):
        table.add_column(head, justify="left" if head == "class" else "right")
    for label in labels:
        column = run.classes.index(label)
        cells = [label, f"{located.clip[column]:.3f}", "", "", ""]
        if len(located.boxes):
            best = int(located.box_scores[:, column].argmax())
            cells[2] = str(located.box_seconds[best])
            cells[3] = " ".join(f"{edge:.2f}" for edge in located.boxes[best])
        if len(located.sound_starts):
            cells[4] = f"{located.sound_starts[located.sound_scores[:, column].argmax()]:.2f}"
        table.add_row(*cells)
    return table


def write_scores(path: Path, located: Located, run: Run) -> None:
    """One row a box, stretch of sound and class: kind, start_s, box, class, score, scaled score."""
    rows: list[dict[str, Any]] = []
    for kind, starts, scores in (
        ("box", located.box_seconds.astype(float), located.box_scores),
        ("sound", located.sound_starts, located.sound_scores),
    ):
        shares = scaled(scores)
        for index, start in enumerate(starts):
            box = located.boxes[index].tolist() if kind == "box" else None
            for column, name in enumerate(run.classes):
                rows.append(
                    {"kind": kind, "start_s": float(start), "box": box, "label": name,
                     "score": float(scores[index, column]),
                     "scaled": float(shares[index, column])}
                )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")


def save_located(
    path: Path,
    located: Located,
    column: int,
    label: str,
    frames: NDArray[np.uint8] | None,
    most: int = 5,
) -> None:
    """Frames with their boxes, then a heat map of all boxes and one of the sound."""
    pictures = 0.5 if frames is None else 3.0
    figure = Figure(figsize=(13, pictures + 1.6), layout="constrained")
    parts: Any = figure.subfigures(3, 1, height_ratios=[pictures, 0.8, 0.8])
    top, boxes, sound = parts
    if frames is not None:
        shown = np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int)
        for ax, second in zip(top.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            plot_boxes(frames[second], located, column, int(second), ax)
    top.suptitle(f"{label}: score {located.clip[column]:.2f}")
    for part, scores, name in (
        (boxes, located.box_scores, "boxes, in the order of the seconds"),
        (sound, located.sound_scores, "stretches of sound, in their order"),
    ):
        plot_heat(scaled(scores)[:, column], name, part.subplots())
    save(figure, path)


def plot_boxes(
    frame: NDArray[np.uint8], located: Located, column: int, second: int, ax: Axes
) -> Axes:
    """Draw a second's frame [H, W, 3] with its boxes, opaque by their scaled score."""
    height, width = frame.shape[:2]
    shares = scaled(located.box_scores)[:, column]
    ax.imshow(frame)
    for index in np.flatnonzero(located.box_seconds == second):
        x0, y0, x1, y1 = located.boxes[index] * (width, height, width, height)
        across, down = (x0, x1, x1, x0, x0), (y0, y0, y1, y1, y0)
        ax.plot(across, down, color=BOX_COLOUR, alpha=float(shares[index]), linewidth=2.5)
    ax.set_title(f"second {second}", fontsize="small")
    ax.set_axis_off()
    return ax


def plot_heat(scores: NDArray[np.float32], name: str, ax: Axes) -> Axes:
    """Draw scores [n] from 0 to 1 side by side; an empty strip that says so when there is none."""
    ax.set_yticks([])
    if len(scores):
        ax.imshow(scores[None], aspect="auto", vmin=0.0, vmax=1.0, cmap="magma")
    else:
        ax.set_xticks([])
    ax.set_xlabel(name if len(scores) else f"{name}: none", fontsize="small")
    return ax


def score(run: Run, options: Options) -> None:
    """Score the clips of the run's store against a demo world."""
    facts = runs.read_config(run.folder)
    data = open_clips(Path(facts["features"]), run.needs)
    runs.refuse_other_features(run.folder, data, run.needs)
    found = localisation_truth.measure(Locator(run, data), Path(str(options.truth)), options.split)
    path = (options.out or run.folder) / f"localisation-{options.split}.json"
    files.write_json(path, found)
    screen = console()
    for part in ("boxes", "sound"):
        if part in found:
            screen.print(localisation_truth.table(part, found[part]))
    screen.print(f"Written: {path}")


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
