"""Show the regions and audio segments that support a class, and score them against a known truth.

python models/localise.py --run runs/two_stream-1 clip.mp4 --label Tram
python models/localise.py --run runs/two_stream-1 --truth demo --split test

The first form draws frames with boxes, opaque by score, above heat maps of box and audio scores,
writes all scores as a table, and a page on which the boxes lie over the video. The second one
scores the clips of the run's feature store against the boxes and events of the demo world that they
come from, or against the annotation files of their data set, such as DCASE 2017 or AVE, which say
when a class is heard or seen.
"""

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    import sys
    from os.path import dirname, realpath

    here = dirname(realpath(__file__))
    sys.path[:] = [dirname(here), *(entry for entry in sys.path if entry != here)]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import UsageError

if TYPE_CHECKING:  # torch is imported once the options are read
    from models.applications.localisation import InstanceScores
    from models.applications.new_media import Run

PROGRAM = "models/localise.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, on which media or against which truth, and where the figures go."""

    media: tyro.conf.Positional[Path | None] = None
    """Video or audio file."""
    run: Path | None = None
    """Run folder of a model that scores boxes or audio segments, such as two_stream."""
    label: str | None = None
    """Class to show; left out: every class that the model detects in the clip."""
    truth: Path | None = None
    """Folder of a demo world, or of the data set's annotation files: score the clips of the run's
    store against it."""
    split: str = "test"
    """Split to score."""
    box_voting: bool = False
    """Let the boxes of a second vote: each adds its score to the others, times its overlap with
    them, so that a box round the whole object wins over one of its parts."""
    out: Path | None = None
    """Folder for figures and scores; default <name of the media>-localised, or the run folder."""
    html: Path | None = None
    """Where the page of the media goes; localisation.html in the folder by default."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if options.run is None or (options.media is None) == (options.truth is None):
        raise UsageError(
            f"say which run, and either media or --truth: {PROGRAM} --run RUN MEDIA --label LABEL"
        )
    if options.html is not None and options.truth is not None:
        raise UsageError("--truth scores a store and writes no page; leave --html out")
    cli.say_loading(PROGRAM)
    from models.applications.localisation import refuse_other_models
    from models.applications.new_media import open_run, refuse_unknown_label

    run = open_run(options.run)
    refuse_other_models(run)
    if options.label is not None:
        refuse_unknown_label(run, options.label)
    if options.media is not None:
        localise(run, options.media, options)
    else:
        score(run, options)


def localise(run: "Run", media: Path, options: Options) -> None:
    """Score the instances of one media file; write a table and a figure per class."""
    from models.applications.localisation import Locator, instance_table
    from models.applications.media_files import shortened
    from models.applications.new_media import detected_labels, new_features
    from models.pages.clip_page import write_localisation

    out = options.out or Path(f"{shortened(media.stem)}-localised")
    html = options.html or out / "localisation.html"
    for folder in (out, html.parent):
        files.refuse_unwritable(folder)
    with new_features([media], run, weights_dir=options.weights_dir) as features:
        instances = Locator(run, features.open(run), options.box_voting).locate(0)
    instances.refuse_empty(media, run)
    labels = [options.label] if options.label else detected_labels(run, instances.clip, media.name)
    save_localisation(out, media, run, instances, labels)
    write_localisation(html, media, run, instances, labels)
    screen = console()
    screen.print(instance_table(run, instances, labels))
    screen.print(f"Figures and scores: {out}")
    screen.print(f"Page: {html}")


def save_localisation(
    out: Path, media: Path, run: "Run", instances: "InstanceScores", labels: Sequence[str]
) -> None:
    """Write the scores of all instances, then a figure per class."""
    from models.applications.localisation import write_instances
    from models.applications.localisation_figures import save_instances
    from models.applications.media_files import file_stems, read_frames

    files.write_whole(
        out / "scores.parquet", lambda place: write_instances(place, instances, run.classes)
    )
    frames = read_frames(media, instances.seconds) if len(instances.boxes) else []
    for label, stem in file_stems(labels).items():
        column = run.classes.index(label)
        save_instances(out / f"{stem}.png", instances, column, label, frames, run.origin)


def score(run: "Run", options: Options) -> None:
    """Score the clips of the run's store against a demo world or against annotation files."""
    from models.applications import localisation_scores
    from models.applications.localisation import Locator
    from models.data.clips import open_clips
    from models.training import run_folder as runs
    from schemas import read_store_manifest

    config = runs.read_config(run.folder)
    features, truth = Path(str(config.features)), Path(str(options.truth))
    is_demo = read_store_manifest(features).dataset == "demo"
    data = open_clips(features, run.needs, None if is_demo else truth)
    runs.refuse_other_features(run.folder, config, data, run.needs)
    locator = Locator(run, data, options.box_voting)
    if is_demo:
        measures = localisation_scores.measure(locator, truth, options.split)
    else:
        measures = localisation_scores.measure_times(locator, options.split)
    path = (options.out or run.folder) / f"localisation-{options.split}.json"
    files.write_json(path, measures)
    screen = console()
    if "boxes" in measures:
        screen.print(localisation_scores.box_table(measures["boxes"]))
        screen.print(localisation_scores.class_table(measures["box_classes"]))
    for name, what in (("sight", "Boxes"), ("sound", "Audio")):
        if name in measures:
            screen.print(localisation_scores.time_table(measures[name], what))
    if measures.get("sound_events"):
        task = run.card.task
        screen.print(localisation_scores.event_table(measures["sound_events"], task))
    screen.print(f"Written: {path}")


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
