"""How well a run separates mixtures of two known sounds of the demo world.

python -m models.mixtures --run runs/ncp_mil-audio-1 --sources demo

Two clean sounds of different classes are mixed at equal level; each is separated out of the mixture
with its label known, and with the labels that the run itself finds (a source whose label is not
found counts with the mixture as it is). Written are the mean gains in SI-SDR over the mixture, for
hard and soft masks, and what the same components could reach when the truth picks them.
"""

import sys
import tempfile
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from models.applications import separation as nmf
from models.applications.component_scores import Heard, hear, refuse_other_models, weights_for
from models.applications.media_files import write_sound
from models.applications.new_media import Run, new_features, open_run
from models.data.clips import open_clips
from models.runtime import command_line as cli
from models.runtime import files
from models.runtime.console import console
from models.tasks import tagging
from schemas import SAMPLE_RATE, UsageError
from schemas.demo import SOURCES_FOLDER

PROGRAM = "models.mixtures"
RULES: tuple[nmf.Rule, ...] = ("hard", "soft")
Wave = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which run, which sounds, how many mixtures."""

    run: Path | None = None
    """Run folder of a model that scores components of the sound."""
    sources: Path | None = None
    """Folder of a demo world with clean sources (beam demo --sources)."""
    mixtures: int = 24
    """How many mixtures."""
    level_db: float = 0.0
    """Level of the first sound over the second, in dB."""
    seed: int = 0
    """Which sounds are mixed."""
    tau: float = nmf.TAU
    """Threshold of the hard mask."""
    out: Path | None = None
    """Where the JSON goes; default mixtures.json in the run folder."""
    sounds: Path | None = None
    """Folder for the mixtures and separated sounds, to listen to; left out: none are kept."""
    weights_dir: Path | None = None
    """Folder with weight files, for machines without network."""

    def __post_init__(self) -> None:
        if self.mixtures < 1:
            raise ValueError(f"mixtures must be at least 1, got {self.mixtures}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Mixture:
    """Two clean sounds and their sum."""

    labels: tuple[str, str]
    """Classes of the sounds."""
    sources: tuple[Wave, Wave]
    """The sounds as they are in the mixture."""

    @property
    def sound(self) -> Wave:
        """The sum."""
        return self.sources[0] + self.sources[1]


def main(arguments: Sequence[str]) -> None:
    """Run the command; `UsageError` when it is used wrongly."""
    cli.refuse_unknown(arguments, (Options,), PROGRAM)
    options = cli.parse(Options, arguments, PROGRAM, description=__doc__)
    if options.run is None or options.sources is None:
        raise UsageError(f"say which run and which sounds: {PROGRAM} --run RUN --sources DEMO")
    run = open_run(options.run)
    refuse_other_models(run)
    mixed = list(draw(options.sources, run.classes, options))
    with tempfile.TemporaryDirectory(prefix="earsight-") as folder:
        paths = [Path(folder, f"mixture{index:04d}.wav") for index in range(len(mixed))]
        for path, one in zip(paths, mixed, strict=True):
            write_sound(path, one.sound)
        with new_features(paths, run, weights_dir=options.weights_dir) as store:
            data = open_clips(store, run.needs, classes=run.classes)
            heard = [hear(run, data, row, path.name) for row, path in enumerate(paths)]
    gains = [
        gain
        for index, (one, what) in enumerate(zip(mixed, heard, strict=True))
        for gain in measure(run, one, what, options, index)
    ]
    found = {"mixtures": len(mixed), "level_db": options.level_db, **means(gains)}
    path = options.out or options.run / "mixtures.json"
    files.write_json(path, found)
    console().print(table(found))
    console().print(f"Written: {path}")


def draw(folder: Path, classes: Sequence[str], options: Options) -> Iterator[Mixture]:
    """Mixtures of two sounds of different classes, the same for the same seed.

    `UsageError` when the folder has no clean sounds of two classes.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted((folder / SOURCES_FOLDER).glob("*.wav")):
        for label in classes:
            if path.stem.endswith(f"_{label}"):
                files.setdefault(label, []).append(path)
    if len(files) < 2:
        raise UsageError(
            f"{folder / SOURCES_FOLDER} has no clean sounds of two of the run's classes; make them "
            "with: beam demo --sources --media FOLDER"
        )
    random = np.random.default_rng(options.seed)
    for _ in range(options.mixtures):
        labels = [str(one) for one in random.choice(sorted(files), 2, replace=False)]
        waves = [read_wave(files[label][random.integers(len(files[label]))]) for label in labels]
        yield mix(cast("tuple[str, str]", tuple(labels)), waves, options.level_db)


def read_wave(path: Path) -> Wave:
    """Mono WAV of 16 bits at 16 kHz, in -1..1; `UsageError` for any other."""
    with wave.open(str(path), "rb") as file:
        kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
        if kind != (1, 2, SAMPLE_RATE):
            raise UsageError(f"{path} is not mono with 16 bits at {SAMPLE_RATE} Hz")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / 32768.0


def mix(labels: tuple[str, str], waves: Sequence[Wave], level_db: float) -> Mixture:
    """Two sounds at a level to each other, over their whole length; together they peak at 0.9."""
    first, second = (one[: min(map(len, waves))] for one in waves)
    ratio = np.sqrt((first**2).sum() / max(float((second**2).sum()), 1e-12))
    second = second * np.float32(ratio * 10 ** (-level_db / 20))
    scale = np.float32(0.9 / max(float(np.abs(first + second).max()), 1e-6))
    return Mixture(labels=labels, sources=(first * scale, second * scale))


def measure(
    run: Run, one: Mixture, heard: Heard, options: Options, index: int
) -> Iterator[dict[str, float]]:
    """Gain in SI-SDR over the mixture for each source: known and unknown, hard and soft, ideal."""
    mixture = one.sound
    thresholds = tagging.read_thresholds(run.results, len(run.classes))
    for place, label in enumerate(one.labels):
        source = one.sources[place]
        before = nmf.si_sdr(mixture, source)
        is_found = heard.clip[run.classes.index(label)] >= thresholds[run.classes.index(label)]
        gains = {"mixture": before, "label_found": float(is_found)}
        for rule in RULES:
            share = weights_for(run, heard, label, rule, options.tau)
            estimate, _ = nmf.separate(mixture, heard.w, heard.h, share)
            gains[f"known_{rule}"] = nmf.si_sdr(estimate, source) - before
            gains[f"unknown_{rule}"] = gains[f"known_{rule}"] if is_found else 0.0
            keep(options.sounds, f"{index:04d}_{label}_{rule}", estimate)
        share = ideal_weights(one, place, heard)
        estimate, _ = nmf.separate(mixture, heard.w, heard.h, share)
        gains["ideal"] = nmf.si_sdr(estimate, source) - before
        yield gains
    keep(options.sounds, f"{index:04d}_mixture", mixture)


def keep(folder: Path | None, name: str, sound: Wave) -> None:
    """Write a sound to listen to, when a folder was given."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_sound(folder / f"{name}.wav", sound)


def ideal_weights(one: Mixture, place: int, heard: Heard) -> Tensor:
    """Components, [K], in which the source has more of the energy than the other sound."""
    powers = []
    hann = torch.hann_window(nmf.WINDOW)
    whole = heard.w.T @ heard.h + nmf.EPSILON
    for source in one.sources:
        spectrum = torch.stft(
            torch.from_numpy(source), nmf.WINDOW, nmf.HOP, window=hann, return_complex=True
        )
        power = spectrum.abs() ** 2 / whole
        powers.append((heard.w * (heard.h @ power.T)).sum(dim=1))
    return (powers[place] > powers[1 - place]).float()


def means(gains: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Mean of each gain over all sources, and its standard error."""
    columns = {name: np.array([one[name] for one in gains]) for name in gains[0]}
    return {
        "sources": len(gains),
        "mean": {name: float(values.mean()) for name, values in columns.items()},
        "error": {
            name: float(values.std(ddof=1) / np.sqrt(len(values)))
            for name, values in columns.items()
        },
    }


def table(found: Mapping[str, Any]) -> Table:
    """Gains in dB, mean and standard error."""
    title = f"Gain in SI-SDR over the mixture, dB, {found['sources']} sources"
    result = Table(title=title, title_justify="left")
    for head in ("label", "mask", "mean", "standard error"):
        result.add_column(head, justify="left" if head in ("label", "mask") else "right")
    for name in ("known_hard", "known_soft", "unknown_hard", "unknown_soft", "ideal"):
        label, _, rule = name.partition("_")
        result.add_row(label, rule, f"{found['mean'][name]:+.2f}", f"{found['error'][name]:.2f}")
    return result


if __name__ == "__main__":
    sys.exit(cli.run(main, sys.argv[1:]))
