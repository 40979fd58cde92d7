"""Measure how well a run separates mixtures of two known sources.

python -m models.mixtures --run runs/ncp_mil-audio-1 --sources demo --level-db -5 0 5
python -m models.mixtures --run runs/ncp_mil-audio-1 --sources recordings
python -m models.mixtures --run runs/ncp_mil-audio-1 --pair bark.wav drum.wav --labels Dog Drum

Clean sources of two classes are mixed, and each is separated out of the mixture with its label
known, and with the labels that the run itself detects (a source whose label is not detected
counts with the mixture as it is). Written are the gain in SI-SDR over the mixture and SDR, SIR and
SAR, for every mask, for two ways that need no run, and for what the same components could reach
when the truth picks them.
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

from models.contract.bounds import Seed, Share, Size, check
from models.contract.masks import TAU
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import UsageError

if TYPE_CHECKING:
    from models.applications.separation.baselines import Dictionaries
    from models.applications.separation.stems import Mixture

PROGRAM = "models.mixtures"
MOST_DB = 60
"""Levels beyond this make one source inaudible under the other, in dB."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, which sources, how many mixtures."""

    run: Path | None = None
    """Run folder of a model that scores components of the audio."""
    sources: Path | None = None
    """Folder of a demo world with clean sources (beam demo --sources), or one with a subfolder of
    recordings for each class."""
    pair: tuple[Path, Path] | None = None
    """Two files to mix, instead of a folder."""
    labels: tuple[str, str] | None = None
    """Classes of the two files."""
    mixtures: Size = 24
    """How many mixtures are drawn from a folder."""
    level_db: tuple[float, ...] = (0.0,)
    """Levels of the first source over the second, in dB; every mixture is made at each."""
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
        for level_db in self.level_db:
            if not -MOST_DB <= level_db <= MOST_DB:
                raise ValueError(
                    f"level_db must be from -{MOST_DB} to {MOST_DB} dB, got {level_db}"
                )


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if options.run is None or (options.sources is None) == (options.pair is None):
        raise UsageError(
            f"say which run, and which sources or which pair of files: {PROGRAM} --run RUN "
            "--sources FOLDER"
        )
    if (options.pair is None) != (options.labels is None):
        raise UsageError("--pair A B and --labels CLASS CLASS go together")
    cli.say_loading(PROGRAM)
    measure(options, options.run)


def measure(options: Options, folder: Path) -> None:
    """Mix, separate, measure; write the JSON and show a table per level."""
    from models.applications.new_media import open_run
    from models.applications.separation import mixtures as measured  # with torch
    from models.applications.separation.components import refuse_other_models

    run = open_run(folder)
    refuse_other_models(run)
    mixtures, dictionaries = mixed(options, run.classes)
    heard = measured.score_mixtures(run, mixtures, weights_dir=options.weights_dir)
    screen, levels = console(), []
    for level_db in options.level_db:
        own = [index for index, one in enumerate(mixtures) if one.level_db == level_db]
        scores = measured.measure_mixtures(
            run, [mixtures[index] for index in own], [heard[index] for index in own],
            options.tau, dictionaries,
            keep=options.sounds and options.sounds / f"{level_db:g}dB",
        )  # fmt: skip
        levels.append({"level_db": level_db, "mixtures": len(own), **measured.mean_scores(scores)})
        screen.print(measured.score_table(levels[-1]))
    path = options.out or folder / "mixtures.json"
    files.write_json(path, {"levels": levels})
    screen.print(f"Written: {path}")


def mixed(
    options: Options, classes: Sequence[str]
) -> tuple["list[Mixture]", "Dictionaries | None"]:
    """Return the mixtures, and the clean sources that are in none of them, to learn from."""
    from models.applications.separation import stems
    from models.applications.separation.baselines import Dictionaries

    if options.pair is not None and options.labels is not None:
        pairs = stems.mix_files(options.pair, options.labels, classes, options.level_db)
        return pairs, None
    assert options.sources is not None
    found = stems.find_stems(options.sources, classes)
    drawn = list(stems.draw_mixtures(found, options.mixtures, options.level_db, options.seed))
    return drawn, Dictionaries(found, frozenset(path for one in drawn for path in one.paths))


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
