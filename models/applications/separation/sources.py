"""Sources of the classes of one clip: separated, written as waveforms, figures and numbers.

Letters: K components, S samples.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from models.applications.media_files import Audio, file_stems, write_audio
from models.applications.separation.components import ComponentScores
from models.applications.separation.wiener import HOP, separate, spectrogram
from models.contract.masks import MaskRule
from models.runtime import files
from models.runtime.figures import literal, save, titled
from schemas import SAMPLE_RATE, UsageError
from schemas.messages import printable
from schemas.page import palette

Waveform = NDArray[np.float32]
FULL_SCALE, MOST_CLIPPED = 0.999, 1e-3
"""From where on a sample counts as clipped, and the share of such samples that is worth a word."""
LEAST = 0.01
"""A component with less of a share is not counted as part of a source."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """The source of one class in a mixture."""

    label: str
    """Class name."""
    score: float
    """Score of the class in the clip."""
    weights: Tensor
    """Share of each component in the source, [K]."""
    waveform: Waveform
    """The source as the extractor hears it, [S] at 16 kHz."""
    rest: Waveform
    """The mixture without it, [S]."""
    audio: Audio
    """The source with the rate and the channels of the media."""
    audio_rest: Audio
    """The media's audio without it."""


def refuse_silence(waveform: Waveform, media: Path) -> None:
    """Raise `UsageError` when the waveform of a media file is all zeros."""
    if not waveform.any():
        raise UsageError(f"{media} is silent from start to end: nothing to separate")


def warn_of_clipping(audio: Audio, media: Path) -> None:
    """Warn where a thousandth of the samples or more lie at full scale."""
    share = float((np.abs(audio.samples) >= FULL_SCALE).mean())
    if share >= MOST_CLIPPED:
        logging.getLogger(__name__).warning(
            "%s is clipped (%.1f %% of its samples lie at full scale); the sources carry the "
            "distortion", media, 100 * share,
        )  # fmt: skip


def separate_sources(
    mixture: Waveform, audio: Audio, scores: ComponentScores, columns: Mapping[str, int],
    rule: MaskRule, tau: float,
) -> list[Source]:  # fmt: skip
    """Separate the source of each class; `columns` maps a class to its index.

    Both from the mixture as the extractor hears it, [S], and from the audio as it is.
    """
    sources = []
    shares = scores.shares(list(columns.values()), rule, tau)
    for (label, column), weights in zip(columns.items(), shares, strict=True):
        waveform, rest = separate(mixture, scores.w, scores.h, weights)
        own, own_rest = separate(audio.samples, scores.w, scores.h, weights, audio.rate)
        source = Source(
            label=label, score=float(scores.clip[column]), weights=weights,
            waveform=waveform, rest=rest, audio=replace(audio, samples=own),
            audio_rest=replace(audio, samples=own_rest),
        )  # fmt: skip
        sources.append(source)
    return sources


def write_separation(out: Path, mixture: Waveform, sources: Sequence[Source], origin: str) -> None:
    """Write the shares of the components, source and rest as WAV, then a figure per class.

    `origin` says where the run's features come from (`models.contract.report.origin`).
    """
    stems = write_sources(out, sources)
    for source in sources:
        save_spectrograms(out / f"{stems[source.label]}.png", mixture, source, origin)


def write_sources(out: Path, sources: Sequence[Source]) -> dict[str, str]:
    """Write the shares of the components, source and rest as WAV; return the stem per class."""
    stems = file_stems([source.label for source in sources])
    components = {source.label: source.weights.tolist() for source in sources}
    files.write_json(out / "separation.json", {"components": components})
    for source in sources:
        stem = stems[source.label]
        for name, audio in ((stem, source.audio), (f"{stem}-rest", source.audio_rest)):
            files.write_whole(out / f"{name}.wav", partial(write_audio, audio=audio))
    return stems


def save_spectrograms(path: Path, mixture: Waveform, source: Source, origin: str) -> None:
    """Draw the spectrograms of mixture, source and rest, and the shares of the components."""
    waveforms = (("mixture", mixture), (source.label, source.waveform), ("rest", source.rest))
    levels = [(name, spectrogram(waveform)) for name, waveform in waveforms]
    top = max(float(level.max()) for _, level in levels)
    figure = Figure(figsize=(9, 2 * len(levels) + 2), layout="constrained")
    axes = figure.subplots(len(levels) + 1, 1, height_ratios=[2] * len(levels) + [1])
    for ax, (name, level) in zip(axes, levels, strict=False):
        extent = (0.0, level.shape[1] * HOP / SAMPLE_RATE, 0.0, SAMPLE_RATE / 2000)
        ax.imshow(
            level, origin="lower", aspect="auto", extent=extent, vmin=top - 70, vmax=top,
            cmap=palette.SCALE,
        )  # fmt: skip
        figure.colorbar(ax.images[0], ax=ax, label="dB")
        ax.set_title(literal(name), fontsize="medium")
        ax.set_ylabel("kHz")
    axes[-2].set_xlabel("seconds")
    axes[-1].bar(range(len(source.weights)), source.weights.tolist(), color=palette.BLUE)
    axes[-1].set_ylim(0, 1)
    axes[-1].set_xticks(range(len(source.weights)))
    axes[-1].set_xlabel("component; its share in the source")
    titled(figure, f"{source.label}: score {source.score:.2f}", origin)
    save(figure, path)


def source_table(sources: Sequence[Source]) -> Table:
    """Return one line per class: its score, how many components make it, how loud it is."""
    table = Table(title="Separated sources", title_justify="left")
    for head in ("class", "score", "components", "level, dB", "rest, dB"):
        table.add_column(head, justify="left" if head == "class" else "right")
    for source in sources:
        used = int((source.weights >= LEAST).sum())
        levels = [
            f"{10 * np.log10(np.mean(waveform**2) + 1e-12):.1f}"
            for waveform in (source.waveform, source.rest)
        ]
        table.add_row(
            printable(source.label), f"{source.score:.3f}", f"{used} of {len(source.weights)}",
            *levels,
        )  # fmt: skip
    return table
