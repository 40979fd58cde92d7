"""Separate the sound of one class from the sound of a clip, with a model of its components.

python models/separate.py --run runs/ncp_mil-audio-1 clip.mp4 --label Drum
python models/separate.py --run runs/ncp_mil-audio-1 clip.wav

Without --label every class that the model finds in the clip is separated.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

if __package__ in (None, ""):  # started as `python models/separate.py`: import this checkout
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]

import numpy as np
import tyro
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from models.applications import separation as nmf
from models.applications.component_scores import Heard, hear, refuse_other_models, weights_for
from models.applications.media_files import file_name, read_sound, write_sound
from models.applications.new_media import Run, found_labels, known_label, new_features, open_run
from models.data.clips import open_clips
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from models.training.figures import save
from schemas import UsageError

PROGRAM = "models/separate.py"
Wave = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, which media, which class, and where the sounds go."""

    media: tyro.conf.Positional[Path | None] = None
    """Video or sound file."""
    run: Path | None = None
    """Run folder of a model that scores components of the sound, such as ncp_mil-audio."""
    label: str | None = None
    """Class to separate; left out: every class that the model finds in the clip."""
    mask: Literal["hard", "soft"] = "hard"
    """hard: components from --tau on belong to the source in full; soft: by their score."""
    tau: float = nmf.TAU
    """Scaled score, 0 to 1, from which on a component belongs to the source of a hard mask."""
    out: Path | None = None
    """Folder for sounds and figures; default <name of the media>-separated."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.tau <= 1.0:
            raise ValueError(f"tau must be from 0 to 1, got {self.tau}")


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    cli.refuse_unknown(arguments, (Options,), PROGRAM)
    options = cli.parse(Options, arguments, PROGRAM, description=__doc__)
    if options.run is None or options.media is None:
        raise UsageError(f"say which run and which media: {PROGRAM} --run RUN MEDIA --label LABEL")
    run = open_run(options.run)
    refuse_other_models(run)
    if options.label is not None:
        known_label(run, options.label)
    with new_features([options.media], run, weights_dir=options.weights_dir) as store:
        data = open_clips(store, run.needs, classes=run.classes)
        heard = hear(run, data, 0, options.media.name)
    sound = read_sound(options.media, heard.seconds)
    if not sound.any():
        raise UsageError(f"{options.media} is silent from start to end: nothing to separate")
    labels = [options.label] if options.label else found_labels(run, heard.clip, options.media.name)
    out = options.out or Path(f"{options.media.stem}-separated")
    shares = {one: weights_for(run, heard, one, options.mask, options.tau) for one in labels}
    sources = {one: nmf.separate(sound, heard.w, heard.h, share) for one, share in shares.items()}
    leave(out, sound, sources, shares)
    console().print(table(run, heard, shares, sources))
    console().print(f"Sounds, figures and scores: {out}")


def leave(
    out: Path,
    sound: Wave,
    sources: Mapping[str, tuple[Wave, Wave]],
    shares: Mapping[str, Tensor],
) -> None:
    """Write source and rest as WAV, a figure a class, and the shares of the components."""
    for label, (source, rest) in sources.items():
        name = file_name(label)
        for part, wave in ((name, source), (f"{name}-rest", rest)):
            files.write_whole(out / f"{part}.wav", partial(write_sound, sound=wave))
        waves = {"mixture": sound, label: source, "rest": rest}
        save_spectrograms(out / f"{name}.png", waves, shares[label])
    components = {label: share.tolist() for label, share in shares.items()}
    files.write_json(out / "separation.json", {"components": components})


def save_spectrograms(path: Path, waves: Mapping[str, Wave], share: Tensor) -> None:
    """Draw the spectrograms of some sounds below each other, and the shares of the components."""
    figure = Figure(figsize=(9, 2 * len(waves) + 1.4), layout="constrained")
    axes = figure.subplots(len(waves) + 1, 1, height_ratios=[2] * len(waves) + [1])
    pictures = {name: nmf.spectrogram(wave) for name, wave in waves.items()}
    top = max(float(one.max()) for one in pictures.values())
    for ax, (name, picture) in zip(axes, pictures.items(), strict=False):
        extent = (0.0, picture.shape[1] * nmf.HOP / 16_000, 0.0, 8.0)
        ax.imshow(
            picture, origin="lower", aspect="auto", extent=extent, vmin=top - 70, vmax=top,
            cmap="magma",
        )  # fmt: skip
        ax.set_title(name, fontsize="medium")
        ax.set_ylabel("kHz")
    axes[-2].set_xlabel("seconds")
    axes[-1].bar(range(len(share)), share.tolist(), color="#2a6f97")
    axes[-1].set_ylim(0, 1)
    axes[-1].set_xticks(range(len(share)))
    axes[-1].set_xlabel("component; its share in the source")
    save(figure, path)


def table(
    run: Run,
    heard: Heard,
    shares: Mapping[str, Tensor],
    sources: Mapping[str, tuple[Wave, Wave]],
) -> Table:
    """One line a class: its score, how many components make it, how loud it is."""
    found = Table(title="Separated sources", title_justify="left")
    for head in ("class", "score", "components", "level, dB", "rest, dB"):
        found.add_column(head, justify="left" if head == "class" else "right")
    for label, (source, rest) in sources.items():
        score = heard.clip[run.classes.index(label)]
        used = int((shares[label] > 0).sum())
        levels = [f"{10 * np.log10(np.mean(wave**2) + 1e-12):.1f}" for wave in (source, rest)]
        found.add_row(label, f"{score:.3f}", f"{used} of {len(shares[label])}", *levels)
    return found


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
