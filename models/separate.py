"""Separate the source of one class from the audio of a clip, with a model of its components.

python models/separate.py --run runs/ncp_mil-audio-1 clip.mp4 --label Drum
python models/separate.py --run runs/ncp_mil-audio-1 clip.wav

Without --label every class that the model detects in the clip is separated. Waveforms have the rate
and the channels of the clip. A page beside them plays each source, with the picture where there is
one.
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

import tyro

from models.contract.bounds import Share, check
from models.contract.masks import TAU, MaskRule
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from schemas import UsageError

PROGRAM = "models/separate.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, which media, which class, and where the sources go."""

    media: tyro.conf.Positional[Path | None] = None
    """Video or audio file."""
    run: Path | None = None
    """Run folder of a model that scores components of the audio, such as ncp_mil-audio."""
    label: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Class to separate, and another with a second --label; left out: every class that the model
    detects in the clip."""
    mask: MaskRule = "contest"
    """contest: the classes compete for each component; hard: components from --tau on belong to the
    source in full, as in the paper; soft: by their score."""
    tau: Share = TAU
    """Scaled score, 0 to 1, from which on a component belongs to the source of a hard mask."""
    out: Path | None = None
    """Folder for waveforms and figures; default <name of the media>-separated."""
    html: Path | None = None
    """Where the page goes on which every source plays; separation.html in the folder by default."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""

    def __post_init__(self) -> None:
        check(self)


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    options = cli.read(Options, arguments, PROGRAM, __doc__)
    if options.run is None or options.media is None:
        raise UsageError(f"say which run and which media: {PROGRAM} --run RUN MEDIA --label LABEL")
    cli.say_loading(PROGRAM)
    separate(options, options.run, options.media)


def separate(options: Options, folder: Path, media: Path) -> None:
    """Separate the sources of one media file; write a waveform and a figure per class."""
    from models.applications import new_media  # with torch
    from models.applications.media_files import read_audio, read_waveform, shortened
    from models.applications.separation import sources
    from models.applications.separation.components import refuse_other_models, score_components
    from models.pages.clip_page import write_separation

    run = new_media.open_run(folder)
    out = options.out or Path(f"{shortened(media.stem)}-separated")
    html = options.html or out / "separation.html"
    for place in (out, html.parent):
        files.refuse_unwritable(place)
    refuse_other_models(run)
    for label in options.label:
        new_media.refuse_unknown_label(run, label)
    with new_media.new_features([media], run, weights_dir=options.weights_dir) as features:
        scores = score_components(run, features.open(run), 0, media.name)
    waveform = read_waveform(media, scores.seconds)
    sources.refuse_silence(waveform, media)
    audio = read_audio(media)
    sources.warn_of_clipping(audio, media)
    found = options.label or new_media.detected_labels(run, scores.clip, media.name)
    labels = dict.fromkeys(found)
    columns = {label: run.classes.index(label) for label in labels}
    separated = sources.separate_sources(
        waveform, audio, scores, columns, options.mask, options.tau
    )
    sources.write_separation(out, waveform, separated, run.origin)
    write_separation(html, media, run, waveform, separated)
    screen = console()
    screen.print(sources.source_table(separated))
    screen.print(f"Waveforms, figures and scores: {out}")
    screen.print(f"Page: {html}")


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
