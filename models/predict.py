"""Parse new media with a trained run: which classes are heard and seen when.

python models/predict.py --run runs/han-1 clip.mp4
python models/predict.py --run runs/han-1 holiday/*.mp4 --out parsed
python models/predict.py --model han --weights MMIL_Net.pt clip.mp4

Features are made as the run's own were. Writes events.csv (file, modality, label, onset, offset,
probability) and a figure per file. Models that tag whole clips say nothing about when; their runs
are refused.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # import this checkout; a signal while it loads is no traceback
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]
    from models.runtime.interrupts import exit_at_once

    exit_at_once()

import tyro

from models.applications import event_detection as detection
from models.applications.event_figures import save_predictions
from models.applications.media_files import shortened
from models.applications.new_media import Run, new_features, open_released, open_run
from models.data.clips import ClipData
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import JobError, UsageError

PROGRAM = "models/predict.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, on which media, and where the answer goes."""

    media: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Video or audio files."""
    run: Path | None = None
    """Run folder of a parsing model, such as han."""
    model: str | None = None
    """Model or experiment that --weights belong to."""
    weights: Path | None = None
    """File of weights that the authors of a model released."""
    out: Path = Path("predictions")
    """Folder for events.csv and the figures."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if (options.run is None) == (options.weights is None) or not options.media:
        raise UsageError(
            f"say which run, and which media: {PROGRAM} --run RUN MEDIA, or {PROGRAM} --model NAME "
            "--weights FILE MEDIA"
        )
    files.refuse_unwritable(options.out)
    if options.weights is None:
        assert options.run is not None
        run = open_run(options.run)
    else:
        run = open_released(options.model, options.weights)
    detection.refuse_tagging(run)
    with new_features(options.media, run, weights_dir=options.weights_dir) as features:
        data = features.open(run)
        report_events(run, data, [features.media[key] for key in data.keys], options.out)
    if features.failures:
        raise JobError(
            f"{len(features.failures)} of {len(options.media)} files gave no features, the events "
            f"of the others are written; {'; '.join(features.failures[:5])}"
        )


def report_events(run: Run, data: ClipData, media: Sequence[Path], out: Path) -> None:
    """Write the events of all clips and print them, then draw a figure per clip.

    `media` has the file of each clip.
    """
    predictions = detection.predict_clips(run, data)
    events = [detection.detect_events(predictions, data, row) for row in range(len(media))]
    detection.write_events(out / "events.csv", media, events)
    screen = console()
    for path, detected in zip(media, events, strict=True):
        screen.print(detection.events_table(path.name, detected))
    lengths = detection.clip_seconds(data)
    for row, path in enumerate(media):
        figure = out / f"{row:04d}-{shortened(path.stem)}.png"
        save_predictions(figure, path.name, predictions, data, row, lengths[row], run.origin)
    screen.print(f"Events: {out / 'events.csv'}. Figures beside it.")


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
