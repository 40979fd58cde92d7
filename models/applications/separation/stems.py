"""Clean sources to mix: of a demo world, of a folder of one's own, or two files; and mixtures.

Letters: S samples.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.applications.media_files import media_below, read_mono
from schemas import SAMPLE_RATE, UsageError
from schemas.demo import SOURCES_FOLDER
from schemas.messages import unknown

Waveform = NDArray[np.float32]
SHORTEST_S = 1
"""Seconds that two sources must have in common: a clip has one second at least."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Mixture:
    """Two clean sources and their sum."""

    labels: tuple[str, str]
    """Classes of the sources."""
    sources: tuple[Waveform, Waveform]
    """The sources as they are in the mixture, [S] each, whole seconds at 16 kHz."""
    level_db: float = 0.0
    """Level of the first source over the second."""
    paths: tuple[Path, ...] = ()
    """The files that the sources come from."""

    @property
    def waveform(self) -> Waveform:
        """The sum of the sources, [S]."""
        return self.sources[0] + self.sources[1]


def find_stems(folder: Path, classes: Sequence[str]) -> dict[str, list[Path]]:
    """Return the clean sources of each class: of a demo world, or of class folders.

    A demo world keeps them as `demo_sources/*_CLASS.wav`; in any other folder the media in the
    subfolder CLASS are of that class. `UsageError` when fewer than two classes have any.
    """
    demo = folder / SOURCES_FOLDER
    stems: dict[str, list[Path]] = {}
    for label in classes:
        if demo.is_dir():
            found = sorted(demo.glob(f"*_{label}.wav"))
        else:
            found = media_below(folder / label) if (folder / label).is_dir() else []
        if found:
            stems[label] = found
    if len(stems) < 2:
        raise UsageError(
            f"{folder} has clean sources of {len(stems)} of the run's {len(classes)} classes, and "
            "a mixture needs two; make a demo world's with: beam demo --sources --media FOLDER, or "
            f"put recordings into subfolders named as classes ({', '.join(classes[:3])}, ...)"
        )
    return stems


def draw_mixtures(
    stems: Mapping[str, Sequence[Path]], count: int, levels_db: Sequence[float], seed: int
) -> Iterator[Mixture]:
    """Draw mixtures of two sources of different classes, at every level; same seed, same ones."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        first, second = (str(label) for label in random.choice(sorted(stems), 2, replace=False))
        paths = [stems[label][int(random.integers(len(stems[label])))] for label in (first, second)]
        sources = [read_stem(path) for path in paths]
        for level_db in levels_db:
            yield replace(mix((first, second), sources, level_db), paths=tuple(paths))


def mix_files(
    paths: tuple[Path, Path], labels: tuple[str, str], classes: Sequence[str],
    levels_db: Sequence[float],
) -> list[Mixture]:  # fmt: skip
    """Mix two files of known classes; `UsageError` for a class that the run has not."""
    for label in labels:
        if label not in classes:
            raise UsageError(unknown("label", label, sorted(classes)))
    if labels[0] == labels[1]:
        raise UsageError(f"both sources are of {labels[0]}; a mixture needs two classes")
    sources = [read_stem(path) for path in paths]
    return [mix(labels, sources, level_db) for level_db in levels_db]


def read_stem(path: Path) -> Waveform:
    """Read a clean source as mono at 16 kHz; `UsageError` when it is silent or under a second."""
    waveform = read_mono(path)
    if len(waveform) < SHORTEST_S * SAMPLE_RATE:
        raise UsageError(
            f"{path} is {len(waveform) / SAMPLE_RATE:.2f} s long; a source needs {SHORTEST_S} s"
        )
    if not waveform.any():
        raise UsageError(f"{path} is silent from start to end: it has no level to be mixed at")
    return waveform


def mix(labels: tuple[str, str], sources: Sequence[Waveform], level_db: float) -> Mixture:
    """Mix two sources at a level to each other, over the whole seconds of both, to a peak of 0.9.

    `UsageError` when one of them is silent there.
    """
    seconds = min(map(len, sources)) // SAMPLE_RATE
    first, second = (source[: seconds * SAMPLE_RATE] for source in sources)
    energies = [float((source**2).sum()) for source in (first, second)]
    for label, energy in zip(labels, energies, strict=True):
        if not energy:
            raise UsageError(f"the source of {label} is silent in the first {seconds} s")
    ratio = np.sqrt(energies[0] / energies[1])
    second = second * np.float32(ratio * 10 ** (-level_db / 20))
    scale = np.float32(0.9 / max(float(np.abs(first + second).max()), 1e-6))
    return Mixture(labels=labels, sources=(first * scale, second * scale), level_db=level_db)
