"""Classes of a fusion run one by one: what each modality knows, what fusion gains."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from models import registry
from models.data import splits
from models.data.clips import open_clips
from models.data.scored import ScoredClips
from models.metrics import average_precision
from models.tasks.intervals import gain_intervals
from models.training import run_folder as runs
from models.training.checkpoint import load_weights
from schemas import UsageError
from schemas.messages import printable

LARGE, SMALL, LARGER = 0.10, 0.05, 0.10
"""Gain that counts as large, losses that are counted; fractions of AP."""
ALL, NONE = 0.95, 0.05
"""Mean weights from which on a modality has about all of the weight; the paper says "about 1"."""

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassAnalysis:
    """Each class of a split; NaN where it has no positive clip."""

    names: tuple[str, ...]
    """Class names."""
    clips: NDArray[np.int64]
    """Positive clips [C]."""
    audio: Values
    """AP of the audio model [C]."""
    visual: Values
    """AP of the visual model [C]."""
    fused: Values
    """AP of the fusion [C]."""
    gain_ends: Values
    """Ends of the 95 % bootstrap interval of the gain over clips, [2, C]."""
    audio_weight: Values | None
    """Mean attention weight of the audio over the clips that have the class [C], if the run has
    one weight per class."""
    origin: str = ""
    """Data set, weights and subset in words, and the split."""

    @property
    def gain(self) -> Values:
        """AP of the fusion minus that of the better single model, [C]."""
        return self.fused - np.fmax(self.audio, self.visual)


def analyse(run: Path, features: Path | None, split: str) -> ClassAnalysis:
    """Score a split by a fusion run and by the two runs that it fuses.

    `UsageError` when the run is no fusion, or its scores are of other clips.
    """
    started = runs.read_config(run)
    if started.model != "fusion":
        raise UsageError(
            f"{run} is a run of {started.model}; the analysis compares a fusion with the two "
            "models that it fuses, so give the run folder of a fusion experiment"
        )
    method = registry.load("fusion")
    config = method.config.from_json(started.settings)
    store = splits.hold_out(open_clips(features or Path(str(started.features)), ()))
    data = method.derive(store, config, run)
    net = method.build(config)
    load_weights(run / runs.CHECKPOINT, net)
    return of_split(net.eval(), data, split)


@torch.no_grad()
def of_split(net: torch.nn.Module, data: ScoredClips, split: str) -> ClassAnalysis:
    """Return the average precisions of the three models, and the mean attention weights."""
    rows = data.rows(split)
    outputs = [net(batch) for batch in data.batches(rows, 256)]
    labels = data.labels[rows].cpu().numpy() > 0.5
    fused = torch.cat([output.clip for output in outputs]).numpy()
    single = {side: data.scores[side].read(rows.numpy()) for side in ("audio", "visual")}
    weight: Values | None = None
    if "audio_share" in outputs[0].extra:
        shares = torch.cat([output.extra["audio_share"] for output in outputs]).numpy()
        weight = mean_weights(shares, labels) if shares.shape == labels.shape else None
    return ClassAnalysis(
        names=data.vocabulary.names,
        clips=labels.sum(axis=0),
        audio=average_precision(single["audio"], labels),
        visual=average_precision(single["visual"], labels),
        fused=average_precision(fused, labels),
        gain_ends=gain_intervals(fused, list(single.values()), labels),
        audio_weight=weight,
        origin=f"{data.origin}, split {split}",
    )


def mean_weights(shares: NDArray[Any], labels: NDArray[np.bool_]) -> Values:
    """Average the audio's weight over the clips that have the class: [N, C] each to [C].

    Section 5.2; NaN for a class without a clip.
    """
    held = labels.sum(axis=0)
    total = (shares * labels).sum(axis=0, dtype=np.float64)
    return np.where(held > 0, total / np.maximum(held, 1), np.nan)


def counts(analysis: ClassAnalysis) -> dict[str, Any]:
    """Count the classes of section 5 and list their names."""
    gain, scored = analysis.gain, ~np.isnan(analysis.fused)

    def named(chosen: NDArray[np.bool_]) -> list[str]:
        return [analysis.names[column] for column in np.flatnonzero(chosen & scored)]

    lists: dict[str, list[str]] = {
        "visual better than audio": named(analysis.visual > analysis.audio),
        "fusion better than the better one": named(gain > 0),
        "gain whose 95 % interval lies above 0": named(analysis.gain_ends[0] > 0),
        "gain above 10 AP": named(gain > LARGE),
        "loss above 5 AP": named(gain < -SMALL),
        "loss above 10 AP": named(gain < -LARGER),
    }
    if analysis.audio_weight is not None:
        lists |= {
            "audio has about all weight (0.95 and more)": named(analysis.audio_weight >= ALL),
            "visual has about all weight (0.95 and more)": named(analysis.audio_weight <= NONE),
            "visual has 90 % of the weight": named(analysis.audio_weight <= 0.1),
        }
    return {"classes with a positive clip": int(scored.sum()), "lists": lists}


PAPER_COUNTS = {
    "visual better than audio": "117", "fusion better than the better one": "439",
    "gain above 10 AP": "91", "loss above 5 AP": "15", "loss above 10 AP": "3",
    "audio has about all weight (0.95 and more)": "> 110",
    "visual has about all weight (0.95 and more)": "about 38",
    "visual has 90 % of the weight": "> 70",
}  # fmt: skip
"""The paper's counts, of 527 classes; it does not say what "about" means in numbers."""


def count_table(counted: Mapping[str, Any], classes: int) -> Table:
    """Return the counts of classes as a table.

    The paper's counts stand beside those of a run on all 527 of its classes alone.
    """
    comparable = classes == 527
    title = f"Classes, of {counted['classes with a positive clip']}"
    table = Table(title=title, title_justify="left")
    table.add_column("which")
    table.add_column("how many", justify="right")
    table.add_column("paper, of 527" if comparable else "first of them")
    for name, names in counted["lists"].items():
        beside = PAPER_COUNTS.get(name, "") if comparable else printable(", ".join(names[:6]))
        table.add_row(name, str(len(names)), beside)
    return table


def class_rows(analysis: ClassAnalysis) -> Iterator[tuple[object, ...]]:
    """Yield a head and one row per class: clips, three APs, gain, mean weight of the audio.

    The gain has the ends of its 95 % interval beside it.
    """
    yield (
        "class", "clips", "audio_ap", "visual_ap", "fused_ap", "gain", "gain_low", "gain_high",
        "audio_weight",
    )  # fmt: skip
    absent = np.full(len(analysis.names), np.nan)
    weight = absent if analysis.audio_weight is None else analysis.audio_weight
    columns = (
        analysis.audio, analysis.visual, analysis.fused, analysis.gain, *analysis.gain_ends, weight
    )  # fmt: skip
    for index, name in enumerate(analysis.names):
        values = [float(column[index]) for column in columns]
        cells = ["" if np.isnan(value) else f"{value:.6f}" for value in values]
        yield name, analysis.clips[index], *cells
