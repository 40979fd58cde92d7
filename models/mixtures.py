"""Measure how well a run separates mixtures of two known sources of the demo world.

python -m models.mixtures --run runs/ncp_mil-audio-1 --sources demo

Two clean sources of different classes are mixed at equal level; each is separated out of the
mixture with its label known, and with the labels that the run itself detects (a source whose label
is not detected counts with the mixture as it is). Written are the mean gains in SI-SDR over the
mixture, for hard and soft masks, and what the same components could reach when the truth picks
them.
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

from models.contract.bounds import Seed, Share, Size, check
from models.contract.masks import TAU
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import UsageError

PROGRAM = "models.mixtures"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, which sources, how many mixtures."""

    run: Path | None = None
    """Run folder of a model that scores components of the audio."""
    sources: Path | None = None
    """Folder of a demo world with clean sources (beam demo --sources)."""
    mixtures: Size = 24
    """How many mixtures."""
    level_db: float = 0.0
    """Level of the first source over the second, in dB."""
    seed: Seed = 0
    """Which sources are mixed."""
    tau: Share = TAU
    """Threshold of the hard mask."""
    out: Path | None = None
    """Where the JSON goes; default mixtures.json in the run folder."""
    sounds: Path | None = None
    """Folder for the mixtures and separated sources, to listen to; left out: none are kept."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""

    def __post_init__(self) -> None:
        check(self)


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if options.run is None or options.sources is None:
        raise UsageError(f"say which run and which sources: {PROGRAM} --run RUN --sources DEMO")
    cli.say_loading(PROGRAM)
    from models.applications import mixtures as measured  # with torch
    from models.applications.component_scores import refuse_other_models
    from models.applications.new_media import open_run

    run = open_run(options.run)
    refuse_other_models(run)
    mixtures = list(
        measured.draw_mixtures(
            options.sources, run.classes, options.mixtures, options.level_db, options.seed
        )
    )
    gains = measured.measure_mixtures(
        run, mixtures, options.tau, keep=options.sounds, weights_dir=options.weights_dir
    )
    report = {"mixtures": len(mixtures), "level_db": options.level_db, **measured.mean_gains(gains)}
    path = options.out or options.run / "mixtures.json"
    files.write_json(path, report)
    screen = console()
    screen.print(measured.gain_table(report))
    screen.print(f"Written: {path}")


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
