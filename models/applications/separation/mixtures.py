"""How well a run separates mixtures of two known sources, beside what needs no run.

Letters: K components, F bins, S samples, J = 2 sources.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor

from models.applications.media_files import write_waveform
from models.applications.new_media import Run, new_features, scratch_folder
from models.applications.separation import baselines, wiener
from models.applications.separation.baselines import Dictionaries
from models.applications.separation.components import ComponentScores, score_components
from models.applications.separation.scores import RATIOS, bss_eval, si_sdr
from models.applications.separation.stems import Mixture
from models.contract.masks import MASK_RULES
from models.runtime.console import progress_console
from models.tasks import tagging
from schemas import JobError

Waveform = NDArray[np.float32]
METHODS = (
    *(f"known_{rule}" for rule in MASK_RULES), "alone_contest",
    *(f"unknown_{rule}" for rule in MASK_RULES),
    "hpss", "dictionary", "ideal",
)  # fmt: skip
"""Ways to separate, in the order of tables."""
WORDS = {
    "known": "both labels known", "alone": "one label known",
    "unknown": "labels found by the run", "hpss": "harmonic or percussive",
    "dictionary": "spectra of clean sources", "ideal": "truth picks the components",
}  # fmt: skip


def score_mixtures(
    run: Run, mixtures: Sequence[Mixture], *, weights_dir: Path | None = None
) -> list[ComponentScores]:
    """Make the features of all mixtures and score their components; `JobError` when one fails."""
    with scratch_folder() as folder:
        paths = [folder / f"mixture{index:04d}.wav" for index in range(len(mixtures))]
        for path, mixture in zip(paths, mixtures, strict=True):
            write_waveform(path, mixture.waveform)
        with new_features(paths, run, weights_dir=weights_dir) as features:
            if features.failures:
                raise JobError(features.failures[0])
            data = features.open(run)
            return [
                score_components(run, data, data.keys.index(key), path.name)
                for key, path in features.media.items()
            ]


def measure_mixtures(
    run: Run, mixtures: Sequence[Mixture], scores: Sequence[ComponentScores], tau: float,
    dictionaries: Dictionaries | None = None, *, keep: Path | None = None,
) -> list[dict[str, float]]:  # fmt: skip
    """Return the scores of every source of all mixtures; `keep` is a folder for the waveforms."""
    gains: list[dict[str, float]] = []
    with progress_console().status("measuring") as status:
        for index, (mixture, heard) in enumerate(zip(mixtures, scores, strict=True)):
            status.update(f"measuring mixture {index + 1} of {len(mixtures)}")
            keep_waveform(keep, f"{index:04d}_mixture", mixture.waveform)
            estimates = separate_all(run, mixture, heard, tau, dictionaries)
            for name, pair in estimates.items():
                for label, estimate in zip(mixture.labels, pair, strict=True):
                    keep_waveform(keep, f"{index:04d}_{label}_{name}", estimate)
            found = detected(run, heard)
            for label, scored in zip(mixture.labels, measure(mixture, estimates), strict=True):
                gains.append({"label_found": float(run.classes.index(label) in found), **scored})
    return gains


def detected(run: Run, scores: ComponentScores) -> list[int]:
    """Return the columns of the classes that the run finds in the mixture."""
    thresholds = tagging.cut_values(run.thresholds, len(run.classes))
    return [int(column) for column in np.flatnonzero(scores.clip >= thresholds)]


def separate_all(
    run: Run, mixture: Mixture, scores: ComponentScores, tau: float,
    dictionaries: Dictionaries | None,
) -> dict[str, list[Waveform]]:  # fmt: skip
    """Return the estimates [S] of both sources by every method that can be had here.

    A source whose label the run has not found is the mixture as it is.
    """
    columns, labels = [run.classes.index(one) for one in mixture.labels], detected(run, scores)
    found: dict[str, list[Waveform]] = {}

    def estimates(shares: Iterable[Tensor]) -> list[Waveform]:
        waveform = mixture.waveform
        return [wiener.separate(waveform, scores.w, scores.h, one)[0] for one in shares]

    for rule in MASK_RULES:
        found[f"known_{rule}"] = estimates(scores.shares(columns, rule, tau))
        by_run = dict(zip(labels, scores.shares(labels, rule, tau), strict=True)) if labels else {}
        found[f"unknown_{rule}"] = [
            estimates([by_run[column]])[0] if column in by_run else mixture.waveform
            for column in columns
        ]
    alone = [scores.shares([column], "contest", tau)[0] for column in columns]
    found["alone_contest"] = estimates(alone)
    found["hpss"] = baselines.hpss(mixture)
    if dictionaries is not None and all(map(dictionaries.knows, mixture.labels)):
        found["dictionary"] = [
            dictionaries.separate(mixture.waveform, label) for label in mixture.labels
        ]
    found["ideal"] = estimates([ideal_weights(mixture, index, scores) for index in range(2)])
    return found


def measure(
    mixture: Mixture, estimates: Mapping[str, Sequence[Waveform]]
) -> Iterator[dict[str, float]]:
    """Yield the scores of each source: gain in SI-SDR, and SDR, SIR, SAR, of every method.

    Names are METHOD for the gain and METHOD_RATIO for the others; `mixture` stands for the mixture
    itself and its SI-SDR.
    """
    every = {"mixture": [mixture.waveform] * 2, **estimates}
    ratios = {name: bss_eval(pair, mixture.sources) for name, pair in every.items()}
    for index, source in enumerate(mixture.sources):
        mixed = si_sdr(mixture.waveform, source)
        scores = {"mixture": mixed}
        for name, pair in estimates.items():
            scores[name] = max(si_sdr(pair[index], source) - mixed, LEAST_GAIN_DB)
        for name, found in ratios.items():
            scores |= {f"{name}_{ratio}": value for ratio, value in found[index].items()}
            if np.array_equal(every[name][index], mixture.waveform):
                scores[f"{name}_sar"] = float("nan")  # nothing was done that could leave artefacts
        yield scores


LEAST_GAIN_DB = -40.0
"""What a source counts of which nothing is left: its ratio is minus infinity."""


def keep_waveform(folder: Path | None, name: str, waveform: Waveform) -> None:
    """Write a waveform to listen to, when a folder was given."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_waveform(folder / f"{name}.wav", waveform)


def ideal_weights(mixture: Mixture, index: int, scores: ComponentScores) -> Tensor:
    """Return 1 for each component, [K], in which the source has more energy than the other one."""
    total = scores.w.T @ scores.h + wiener.EPSILON
    energies = []
    for source in mixture.sources:
        power = wiener.magnitude(source) ** 2 / total
        energies.append((scores.w * (scores.h @ power.T)).sum(dim=1))
    return (energies[index] > energies[1 - index]).float()


def mean_scores(scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the mean of each score over the sources that have it, and its standard error."""
    names = dict.fromkeys(name for source in scores for name in source)
    columns = {}
    for name in names:
        values = np.array([source.get(name, np.nan) for source in scores])
        columns[name] = values[np.isfinite(values)]
    return {
        "sources": len(scores),
        "mean": {name: float(v.mean()) if len(v) else None for name, v in columns.items()},
        "error": {
            name: float(v.std(ddof=1) / np.sqrt(len(v))) if len(v) > 1 else None
            for name, v in columns.items()
        },
    }


def score_table(report: Mapping[str, Any]) -> Table:
    """Return a line per method: gain in SI-SDR with standard error, SDR, SIR, SAR, all in dB."""
    title = f"{report['sources']} sources at {report['level_db']:g} dB; gain over the mixture"
    table = Table(title=title, title_justify="left")
    for head in ("", "mask", "SI-SDR gain", "standard error", *(name.upper() for name in RATIOS)):
        table.add_column(head, justify="left" if head in ("", "mask") else "right")
    for name in METHODS:
        if name in report["mean"]:
            kind, _, rule = name.partition("_")
            numbers = [report["mean"][f"{name}_{ratio}"] for ratio in RATIOS]
            table.add_row(
                WORDS[kind], rule, decibels(report["mean"][name], "+"),
                decibels(report["error"][name]), *map(decibels, numbers),
            )  # fmt: skip
    return table


def decibels(value: float | None, sign: str = "") -> str:
    """Return a number of dB as tables show it, a dash where there is none.

    >>> decibels(5.26, "+"), decibels(None)
    ('+5.3', '-')
    """
    return "-" if value is None else f"{value:{sign}.1f}"
