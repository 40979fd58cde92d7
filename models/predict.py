"""Say what is in new media with a trained run: events of parsing runs, tags of tagging runs.

python models/predict.py --run runs/han-1 clip.mp4
python models/predict.py --run runs/fayek_audio-1 holiday/ --out tags
python models/predict.py --run runs/fusion-attention-1 --watch incoming/
python models/predict.py --model han --weights MMIL_Net.pt clip.mp4

Features are made as the run's own were. A parsing run writes events.csv (clip_key, onset, offset,
modality, label, score) and a figure per file. A tagging run, a fusion too, writes tags.csv
(clip_key, label, score, threshold): every class of every clip, highest score first; a class is
detected where its score reaches its threshold. Nets that score parts of a clip also give
timeline.parquet (clip_key, start_s, end_s, scores) and a figure per file. A page beside the CSV,
events.html or tags.html, shows and plays the first ten files.
"""

from __future__ import annotations

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    import sys
    from os.path import dirname, realpath

    here = dirname(realpath(__file__))
    sys.path[:] = [dirname(here), *(entry for entry in sys.path if entry != here)]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from models.contract.bounds import AtLeast, Size, check
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console, progress_bar
from schemas import JobError, UsageError

if TYPE_CHECKING:  # torch is imported once the options are read
    from models.applications.new_media import Run
    from models.applications.prediction import Answer

PROGRAM = "models/predict.py"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, on which media, and where the answer goes."""

    media: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Video or audio files, and folders: all media in them and below."""
    run: Path | None = None
    """Run folder of a model that parses or tags, such as han or fayek_audio."""
    model: str | None = None
    """Model or experiment that --weights belong to."""
    weights: Path | None = None
    """File of weights that the authors of a model released."""
    out: Path = Path("predictions")
    """Folder for the CSV and the figures, or a file that ends in .csv."""
    html: Path | None = None
    """Where the page goes that shows and plays the first ten files; beside the CSV by default."""
    timeline: Literal["auto", "yes", "no"] = "auto"
    """Scores over time of a tagging run; auto writes them where the net has some."""
    calibrated: bool = False
    """Write scores and thresholds of a tagging run as probabilities, calibrated on its validation
    clips."""
    batch_files: Size = 256
    """Files whose features are made at a time; the CSV is complete after each batch."""
    watch: bool = False
    """Go on with files as they arrive in the folders, until it is stopped."""
    poll_s: Annotated[float, AtLeast(0)] = 2.0
    """Seconds between two looks at the folders; a file counts when it has not changed between."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""

    def __post_init__(self) -> None:
        check(self)


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if (options.run is None) == (options.weights is None) or not options.media:
        raise UsageError(
            f"say which run, and which media: {PROGRAM} --run RUN MEDIA, or {PROGRAM} --model NAME "
            "--weights FILE MEDIA"
        )
    if options.watch:
        refuse_no_folders(options.media)
        if options.html is not None:
            raise UsageError("--watch writes no page; leave --html out, or --watch")
    cli.say_loading(PROGRAM)
    from models.applications.media_files import media_in
    from models.applications.new_media import refuse_nothing
    from models.applications.prediction import answer_of

    media = [] if options.watch else media_in(options.media)
    run = opened(options)
    answer = answer_of(run, options.out, options.timeline, options.calibrated)
    files.refuse_unwritable(answer.folder)
    if options.html is not None:
        files.refuse_unwritable(options.html.parent)
    warn_of_random_weights(run)
    if options.watch:
        watch(run, answer, options)
    failures = predict(run, media, answer, options)
    refuse_nothing(failures, len(media))
    html = options.html or answer.path.with_suffix(".html")
    write_page(html, run, answer)
    console().print(f"Written: {answer.path}. Whatever else there is lies beside it.")
    console().print(f"Page: {html}")
    if failures:
        raise JobError(
            f"{len(failures)} of {len(media)} files gave nothing, what the others gave is "
            f"written; {'; '.join(failures[:5])}"
        )


def write_page(html: Path, run: Run, answer: Answer) -> None:
    """Write the page of the files that the answer shows."""
    from models.pages.clip_page import write_predictions

    write_predictions(html, run, list(answer.shown.values()), len(answer.lines))


def opened(options: Options) -> Run:
    """Open the run, or the weights that were released."""
    from models.applications.new_media import open_released, open_run

    if options.run is not None:
        return open_run(options.run)
    assert options.weights is not None
    return open_released(options.model, options.weights)


def refuse_no_folders(paths: Sequence[Path]) -> None:
    """Raise `UsageError` when one of the paths is no folder that can be watched."""
    for path in paths:
        if not path.is_dir():
            raise UsageError(f"--watch looks at folders, and {path} is none; give a folder")


def warn_of_random_weights(run: Run) -> None:
    """Say so when the run learned from features of random weights."""
    from schemas.features import WITHOUT_WEIGHTS  # with Arrow

    weights = run.recipe.weights
    if weights.startswith("seeded") and not set(run.needs) <= WITHOUT_WEIGHTS:
        logger.warning(
            "%s was trained on features from random weights (%s): what it says is good for "
            "tests alone", run.folder, weights,
        )  # fmt: skip


def predict(run: Run, media: Sequence[Path], answer: Answer, options: Options) -> list[str]:
    """Answer about some files, batch by batch; return a sentence for each that gave nothing."""
    from models.applications.new_media import made_features

    failures: list[str] = []
    with progress_bar("files", len(media)) as count:
        for first in range(0, len(media), options.batch_files):
            batch = media[first : first + options.batch_files]
            with made_features(batch, run, weights_dir=options.weights_dir) as features:
                failures += features.failures
                if len(features.failures) < len(batch):
                    data = features.open_with_frames(run)
                    failures += answer.add(data, [features.media[key] for key in data.keys])
            for _ in batch:
                count()
    return failures


def watch(run: Run, answer: Answer, options: Options) -> None:
    """Answer about the files of folders as they arrive, again when one changes; never return.

    A file that gives nothing is named, and the watch goes on.
    """
    before: dict[Path, tuple[int, int]] = {}
    done: dict[Path, tuple[int, int]] = {}
    console().print(f"Watching {', '.join(map(str, options.media))}; Ctrl-C ends it.")
    while True:
        now = {path: seen for folder in options.media for path, seen in looked_at(folder)}
        ready = [
            path for path, is_now in now.items() if done.get(path) != is_now == before.get(path)
        ]
        for failure in predict(run, ready, answer, options):
            logger.warning("%s", failure)
        done |= {path: now[path] for path in ready}
        before = now
        time.sleep(options.poll_s)


def looked_at(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Yield the media below a folder with size and time of change; one that goes is left out."""
    from models.applications.media_files import media_below

    for path in media_below(folder):
        with contextlib.suppress(OSError):
            held = path.stat()
            yield path, (held.st_size, held.st_mtime_ns)


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
