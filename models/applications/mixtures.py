"""Mixtures of two known sources, and how well a run separates them.

Letters: K components, F bins, S samples.
"""

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

from models.applications import separation
from models.applications.component_scores import ComponentScores, score_components
from models.applications.media_files import write_waveform
from models.applications.new_media import Run, new_features, scratch_folder
from models.contract.masks import MaskRule
from models.tasks import tagging
from schemas import SAMPLE_RATE, JobError, UsageError
from schemas.demo import SOURCES_FOLDER

RULES: tuple[MaskRule, ...] = ("hard", "soft")
Waveform = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Mixture:
    """Two clean sources and their sum."""

    labels: tuple[str, str]
    """Classes of the sources."""
    sources: tuple[Waveform, Waveform]
    """The sources as they are in the mixture, [S] each."""

    @property
    def waveform(self) -> Waveform:
        """The sum of the sources, [S]."""
        return self.sources[0] + self.sources[1]


def draw_mixtures(
    folder: Path, classes: Sequence[str], count: int, level_db: float, seed: int
) -> Iterator[Mixture]:
    """Draw mixtures of two sources of different classes, the same for the same seed.

    `UsageError` when the folder has no clean sources of two classes.
    """
    by_class: dict[str, list[Path]] = {}
    for path in sorted((folder / SOURCES_FOLDER).glob("*.wav")):
        for label in classes:
            if path.stem.endswith(f"_{label}"):
                by_class.setdefault(label, []).append(path)
    if len(by_class) < 2:
        raise UsageError(
            f"{folder / SOURCES_FOLDER} has no clean sources of two of the run's classes; make "
            "them with: beam demo --sources --media FOLDER"
        )
    random = np.random.default_rng(seed)
    for _ in range(count):
        labels = [str(label) for label in random.choice(sorted(by_class), 2, replace=False)]
        paths = [by_class[label][random.integers(len(by_class[label]))] for label in labels]
        sources = [read_wav(path) for path in paths]
        yield mix(cast("tuple[str, str]", tuple(labels)), sources, level_db)


def read_wav(path: Path) -> Waveform:
    """Read a mono WAV of 16 bits at 16 kHz, in -1..1; `UsageError` for any other."""
    with wave.open(str(path), "rb") as file:
        kind = file.getnchannels(), file.getsampwidth(), file.getframerate()
        if kind != (1, 2, SAMPLE_RATE):
            raise UsageError(f"{path} is not mono with 16 bits at {SAMPLE_RATE} Hz")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples.astype(np.float32) / 32768.0


def mix(labels: tuple[str, str], sources: Sequence[Waveform], level_db: float) -> Mixture:
    """Mix two sources at a level to each other, over their whole length, to a peak of 0.9."""
    first, second = (source[: min(map(len, sources))] for source in sources)
    ratio = np.sqrt((first**2).sum() / max(float((second**2).sum()), 1e-12))
    second = second * np.float32(ratio * 10 ** (-level_db / 20))
    scale = np.float32(0.9 / max(float(np.abs(first + second).max()), 1e-6))
    return Mixture(labels=labels, sources=(first * scale, second * scale))


def measure_mixtures(
    run: Run,
    mixtures: Sequence[Mixture],
    tau: float,
    *,
    keep: Path | None = None,
    weights_dir: Path | None = None,
) -> list[dict[str, float]]:
    """Return the gains of every source of all mixtures; `keep` is a folder for the waveforms."""
    with scratch_folder() as folder:
        paths = [folder / f"mixture{index:04d}.wav" for index in range(len(mixtures))]
        for path, mixture in zip(paths, mixtures, strict=True):
            write_waveform(path, mixture.waveform)
        with new_features(paths, run, weights_dir=weights_dir) as features:
            if features.failures:
                raise JobError(features.failures[0])
            data = features.open(run)
            scores = [
                score_components(run, data, data.keys.index(key), path.name)
                for key, path in features.media.items()
            ]
    gains = []
    for index, (mixture, heard) in enumerate(zip(mixtures, scores, strict=True)):
        keep_waveform(keep, f"{index:04d}_mixture", mixture.waveform)
        gains += list(measure(run, mixture, heard, tau, keep=keep, prefix=f"{index:04d}"))
    return gains


def measure(
    run: Run,
    mixture: Mixture,
    scores: ComponentScores,
    tau: float,
    *,
    keep: Path | None = None,
    prefix: str = "",
) -> Iterator[dict[str, float]]:
    """Measure the gain in SI-SDR over the mixture of each source.

    With its label known and as the run detects it, by hard and soft masks, and by ideal weights.
    """
    waveform = mixture.waveform
    thresholds = tagging.cut_values(run.thresholds, len(run.classes))
    for index, label in enumerate(mixture.labels):
        source, column = mixture.sources[index], run.classes.index(label)
        before = separation.si_sdr(waveform, source)
        detected = scores.clip[column] >= thresholds[column]
        gains = {"mixture": before, "label_found": float(detected)}
        for rule in RULES:
            weights = scores.weights(column, rule, tau)
            estimate, _ = separation.separate(waveform, scores.w, scores.h, weights)
            gains[f"known_{rule}"] = separation.si_sdr(estimate, source) - before
            gains[f"unknown_{rule}"] = gains[f"known_{rule}"] if detected else 0.0
            keep_waveform(keep, f"{prefix}_{label}_{rule}", estimate)
        weights = ideal_weights(mixture, index, scores)
        estimate, _ = separation.separate(waveform, scores.w, scores.h, weights)
        gains["ideal"] = separation.si_sdr(estimate, source) - before
        yield gains


def keep_waveform(folder: Path | None, name: str, waveform: Waveform) -> None:
    """Write a waveform to listen to, when a folder was given."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_waveform(folder / f"{name}.wav", waveform)


def ideal_weights(mixture: Mixture, index: int, scores: ComponentScores) -> Tensor:
    """Return 1 for each component, [K], in which the source has more energy than the other one."""
    hann = torch.hann_window(separation.WINDOW)
    total = scores.w.T @ scores.h + separation.EPSILON
    energies = []
    for source in mixture.sources:
        spectrum = torch.stft(
            torch.from_numpy(source),
            separation.WINDOW,
            separation.HOP,
            window=hann,
            return_complex=True,
        )
        power = spectrum.abs() ** 2 / total
        energies.append((scores.w * (scores.h @ power.T)).sum(dim=1))
    return (energies[index] > energies[1 - index]).float()


def mean_gains(gains: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean of each gain over all sources, and its standard error."""
    columns = {name: np.array([source[name] for source in gains]) for name in gains[0]}
    return {
        "sources": len(gains),
        "mean": {name: float(values.mean()) for name, values in columns.items()},
        "error": {
            name: float(values.std(ddof=1) / np.sqrt(len(values)))
            for name, values in columns.items()
        },
    }


def gain_table(report: Mapping[str, Any]) -> Table:
    """Return the gains in dB, mean and standard error, as a table."""
    title = f"Gain in SI-SDR over the mixture, dB, {report['sources']} sources"
    table = Table(title=title, title_justify="left")
    for head in ("label", "mask", "mean", "standard error"):
        table.add_column(head, justify="left" if head in ("label", "mask") else "right")
    for name in ("known_hard", "known_soft", "unknown_hard", "unknown_soft", "ideal"):
        label, _, rule = name.partition("_")
        mean, error = report["mean"][name], report["error"][name]
        table.add_row(label, rule, f"{mean:+.2f}", f"{error:.2f}")
    return table
