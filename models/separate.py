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
from typing import Any, Literal

if __package__ in (None, ""):  # started as `python models/separate.py`: import this checkout
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(entry for entry in sys.path if entry != str(here))]

import numpy as np
import pyarrow.compute as pc
import torch
import tyro
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from models import cli, nmf, report, runs
from models.data import ClipData, open_clips
from models.media import file_name, read_sound, write_sound
from models.new_media import Run, found_labels, known_label, new_features, open_run
from models.plots import save
from models.shards import read_table
from schemas import TableName, UsageError

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


@dataclass(frozen=True, eq=False, kw_only=True)
class Heard:
    """What a model of components hears in one clip."""

    w: Tensor
    """Spectra of the components, [K, F]."""
    h: Tensor
    """Their activations, [K, N]."""
    components: Tensor
    """Score of each component for each class, [K, C]."""
    clip: NDArray[np.float32]
    """Score of each class, [C]."""
    seconds: int
    """Length of the clip on the second grid."""


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
    report.console().print(table(run, heard, shares, sources))
    report.console().print(f"Sounds, figures and scores: {out}")


def refuse_other_models(run: Run) -> None:
    """Raise `UsageError` for a run whose model does not score components."""
    if "components" not in run.needs:
        raise UsageError(
            f"{run.folder} scores {' and '.join(run.needs)}, not components of the sound; train "
            "ncp_mil-audio on a store with extractor ncp"
        )


@torch.no_grad()
def hear(run: Run, data: ClipData, row: int, name: str) -> Heard:
    """Score the components of one clip; `UsageError` when it has no sound."""
    if not data.present["components"][row].any():
        raise UsageError(f"{name} has no sound track, so there is nothing to separate")
    outputs = run.model(data.batch(torch.tensor([row])))
    w, h = (torch.tensor(column) for column in rows_of(data, row, "components", "w", "h"))
    ((seconds,),) = rows_of(data, row, "clips", "n_snippets")
    return Heard(
        w=w,
        h=h,
        components=outputs.extra["components"][0, : len(w)],
        clip=outputs.clip[0].numpy(),
        seconds=seconds,
    )


def rows_of(data: ClipData, row: int, table: TableName, *columns: str) -> list[list[Any]]:
    """Some columns of the rows that a table has of one clip."""
    found = read_table(data.manifest, table, ["clip_key", *columns])
    own = found.filter(pc.field("clip_key") == data.keys[row])
    return [own[column].to_pylist() for column in columns]


def weights_for(run: Run, heard: Heard, label: str, rule: nmf.Rule, tau: float) -> Tensor:
    """Share of each component in the source of a class, [K]."""
    return nmf.component_weights(heard.components[:, run.classes.index(label)], rule, tau)


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
            runs.write_whole(out / f"{part}.wav", partial(write_sound, sound=wave))
        waves = {"mixture": sound, label: source, "rest": rest}
        save_spectrograms(out / f"{name}.png", waves, shares[label])
    components = {label: share.tolist() for label, share in shares.items()}
    runs.write_json(out / "separation.json", {"components": components})


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
