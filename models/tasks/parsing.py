"""Audio-visual video parsing: which classes are heard and which are seen in every second.

Letters: N clips, T seconds, C classes.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.contract.batch import Outputs
from models.contract.config import TrainConfig
from models.contract.report import ClipTimeline, SplitReport, Thresholds
from models.contract.task import Modality
from models.data import splits
from models.data.source import ClipSource
from models.metrics import (
    AVVP_NAMES,
    avvp_class_scores,
    avvp_clip_scores,
    avvp_scores,
    modality_confusion,
    tagging_scores,
)
from models.runtime import files
from models.tasks.intervals import bootstrap_intervals
from models.tasks.timelines import parsing_timelines

HEADS = tuple(
    f"{level} {head}" for level in ("seg", "ev") for head in ("A", "V", "AV", "Type", "Event")
)
"""Heads of the columns of the ten scores, in the order of `AVVP_NAMES`."""
TIMELINES = 4
"""Clips whose decisions are drawn."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """What a net says about N clips. A modality that it does not parse is never predicted."""

    rows: Tensor
    """[N] indices of the clips in their `ClipSource`."""
    clip: NDArray[np.float32]
    """Clip probabilities [N, C]."""
    audio: NDArray[np.float32]
    """Probability that a class is heard in a second, [N, T, C]."""
    visual: NDArray[np.float32]
    """Probability that a class is seen in a second, [N, T, C]."""
    heard: NDArray[np.bool_]
    """Decision on `audio`."""
    seen: NDArray[np.bool_]
    """Decision on `visual`."""


@dataclass(frozen=True, kw_only=True)
class Parsing:
    """The task of a net that parses the seconds of clips in one or both modalities."""

    modalities: tuple[Modality, ...]
    """Modalities that it parses."""
    selected_by: str = ""
    """Score by which the authors' program keeps an epoch, where it is none of those below."""
    clip_threshold: float = 0.5
    """A class is in a second when its clip probability reaches this,"""
    second_threshold: float = 0.5
    """and its probability in the second this."""

    name: ClassVar[str] = "parsing"
    columns: ClassVar[Mapping[str, str]] = dict(zip(AVVP_NAMES, HEADS, strict=True))
    unit: ClassVar[str] = "F, per cent"
    validation_clips: ClassVar[str] = "validation clips with dense truth"
    partial_gradients: ClassVar[bool] = True
    """A loss on the modalities alone leaves the joint head without gradient."""

    @property
    def selection_metric(self) -> str:
        """Segment Type@AV, or the segment score of the only modality, or the authors' choice."""
        if self.selected_by:
            return self.selected_by
        both = len(self.modalities) == 2
        return "segment_type_av" if both else f"segment_{self.modalities[0]}"

    @property
    def curves(self) -> tuple[str, ...]:
        """Segment scores."""
        return tuple(name for name in score_names(self.modalities) if name.startswith("segment_"))

    def printed(self, name: str, value: float) -> float:
        """Return a score as tables print it; parsing scores are in per cent already."""
        return value

    def hold_out(self, clips: ClipSource) -> ClipSource:
        """Return the clips as they are: validation takes dense truth, which training has not."""
        return clips

    def check(self, clips: ClipSource) -> None:
        """Accept all clips."""

    def can_validate(self, clips: ClipSource) -> bool:
        """Return whether there are validation clips with dense truth."""
        return "val" in clips.dense_splits

    def predict(
        self, model: nn.Module, clips: ClipSource, rows: Tensor, config: TrainConfig
    ) -> Predictions:
        """Run the net over the clips `rows` [N] without training it."""
        from_clip, from_second = self.clip_threshold, self.second_threshold
        return predict(model, clips, rows, config, from_clip=from_clip, from_second=from_second)

    def validate(
        self, predictions: Predictions, clips: ClipSource, config: TrainConfig
    ) -> dict[str, float]:
        """Return the parsing scores of validation clips in per cent."""
        return parsing_scores(predictions, clips, self.modalities)

    def fit(self, model: nn.Module, clips: ClipSource, config: TrainConfig) -> None:
        """Tune nothing: the probabilities are cut at a half."""

    def evaluate(
        self,
        predictions: Predictions,
        clips: ClipSource,
        split: str,
        config: TrainConfig,
        thresholds: Thresholds | None,
    ) -> SplitReport:
        """Return the scores of a split.

        With dense truth also what predicting nothing scores, 95 % bootstrap intervals over clips,
        F of each class and, of a net of both modalities, the confusion between them
        (`models.metrics.modality_confusion`).
        """
        metrics = split_scores(predictions, clips, split, self.modalities)
        if split not in clips.dense_splits:
            return SplitReport(metrics=metrics)
        return SplitReport(
            metrics=metrics,
            floor=floor(clips, predictions.rows, self.modalities),
            intervals=bootstrap_intervals(clip_scores(predictions, clips, self.modalities)),
            classes=class_scores(predictions, clips, self.modalities),
            confusion=confusion(predictions, clips) if len(self.modalities) == 2 else None,
        )

    def written_splits(self, clips: ClipSource) -> list[str]:
        """Return the splits that are evaluated."""
        return splits.evaluated(clips)

    def write(
        self,
        path: Path,
        clips: ClipSource,
        predictions: Iterable[tuple[str, Predictions]],
        thresholds: Thresholds | None,
    ) -> None:
        """Write one row per clip and second (`write_predictions`)."""
        write_predictions(path, clips, predictions)

    def timelines(self, path: Path, clips: ClipSource) -> dict[str, list[ClipTimeline]]:
        """Return the worst, the best and some random clips of what `write` wrote, by kind."""
        return parsing_timelines(path, clips)

    def draw(
        self,
        folder: Path,
        clips: ClipSource,
        predictions: Mapping[str, Predictions],
        reports: Mapping[str, SplitReport],
    ) -> None:
        """Draw timelines of a few test clips, and the confusion between the modalities."""
        from models.runtime.figures import save  # matplotlib: 0.5 s that a net alone needs not
        from models.tasks.figures import confusion_table, timelines

        if "test" in clips.dense_splits:
            masks, names = timeline_masks(clips, predictions["test"]), clips.vocabulary.names
            save(timelines(*masks, names, clips.origin), folder / "timelines.png")
        if "test" in reports and reports["test"].confusion is not None:
            figure = confusion_table(reports["test"].confusion, clips.origin)
            save(figure, folder / "confusion.png")


def gates(outputs: Outputs, gate: str) -> tuple[Tensor, Tensor]:
    """Return the clip probabilities [B, C] that open the audio and the visual modality."""
    audio = outputs.clip if outputs.clip_audio is None else outputs.clip_audio
    visual = outputs.clip if outputs.clip_visual is None else outputs.clip_visual
    if gate == "modality":
        return audio, visual
    joint = outputs.clip if gate == "joint" else torch.maximum(audio, visual)
    return joint, joint


@torch.no_grad()
def predict(
    model: nn.Module, data: ClipSource, rows: Tensor, config: TrainConfig, batch_size: int = 64,
    *, from_clip: float = 0.5, from_second: float = 0.5,
) -> Predictions:  # fmt: skip
    """Run a net over the clips `rows` [N] without training it.

    A class is in a second when its clip probability and its second's reach `from_*`.
    """
    model.eval()
    parts: list[list[NDArray[np.float32]]] = []
    for batch in data.batches(rows, batch_size):
        outputs: Outputs = model(batch)
        absent = outputs.clip.new_zeros(len(batch.labels), data.seconds, outputs.clip.shape[1])
        columns = [outputs.clip]
        seconds = (outputs.audio, outputs.visual)
        for second, gate in zip(seconds, gates(outputs, config.gate), strict=True):
            columns += [gate, absent if second is None else second]
        parts.append([column.cpu().float().numpy() for column in columns])
    clip, gate_audio, audio, gate_visual, visual = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return Predictions(
        rows=rows,
        clip=clip,
        audio=audio,
        visual=visual,
        heard=(gate_audio >= from_clip)[:, None] & (audio >= from_second),
        seen=(gate_visual >= from_clip)[:, None] & (visual >= from_second),
    )


def score_names(modalities: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the parsing scores of a net of these modalities."""
    if len(modalities) == 2:
        return AVVP_NAMES
    return tuple(name for name in AVVP_NAMES if name.split("_", 1)[1] == modalities[0])


def timeline_masks(
    data: ClipSource, predictions: Predictions
) -> tuple[list[str], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return keys, decisions and truth, bool [n, 2, T, C], of a few clips to draw.

    Clips with true events in both modalities come first.
    """
    heard, seen, true_heard, true_seen = masks(predictions, data)
    full = true_heard.any(axis=(1, 2)) & true_seen.any(axis=(1, 2))
    chosen = np.argsort(~full, kind="stable")[:TIMELINES]
    keys = [data.keys[row] for row in predictions.rows[torch.from_numpy(chosen)].tolist()]
    decided = np.stack([heard[chosen], seen[chosen]], axis=1)
    return keys, decided, np.stack([true_heard[chosen], true_seen[chosen]], axis=1)


def masks(predictions: Predictions, data: ClipSource) -> tuple[NDArray[np.bool_], ...]:
    """Return heard, seen, truly heard, truly seen, each bool [N, T, C]."""
    rows = predictions.rows.numpy()
    return (
        predictions.heard,
        predictions.seen,
        data.truth["audio"][rows],
        data.truth["visual"][rows],
    )


def parsing_scores(
    predictions: Predictions, data: ClipSource, modalities: Sequence[str]
) -> dict[str, float]:
    """Return the parsing scores in per cent of clips with dense truth."""
    scores = avvp_scores(*masks(predictions, data))
    return {name: scores[name] for name in score_names(modalities)}


def clip_scores(
    predictions: Predictions, data: ClipSource, modalities: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the parsing scores of each clip, name to [N] from 0 to 1."""
    scores = avvp_clip_scores(*masks(predictions, data))
    return {name: scores[name] for name in score_names(modalities)}


def class_scores(
    predictions: Predictions, data: ClipSource, modalities: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Return F of each class in per cent by score name; None for a class that does not occur."""
    scores = avvp_class_scores(*masks(predictions, data))
    return {
        name: {
            label: None if np.isnan(value) else float(value)
            for label, value in zip(data.vocabulary.names, scores[name], strict=True)
        }
        for name in score_names(modalities)
        if name in scores
    }


def confusion(predictions: Predictions, data: ClipSource) -> list[list[int]]:
    """Count seconds of classes by where they are (rows, `PRESENCE`) and where they are found."""
    counts: list[list[int]] = modality_confusion(*masks(predictions, data)).tolist()
    return counts


def split_scores(
    predictions: Predictions, data: ClipSource, split: str, modalities: Sequence[str]
) -> Mapping[str, float | None]:
    """Return parsing scores where the split has dense truth, else tagging scores of the clips."""
    if split in data.dense_splits:
        return parsing_scores(predictions, data, modalities)
    scores = tagging_scores(predictions.clip, data.labels[predictions.rows].cpu().numpy() > 0.5)
    return {name: value if np.isfinite(value) else None for name, value in scores.items()}


def floor(data: ClipSource, rows: Tensor, modalities: Sequence[str]) -> dict[str, float]:
    """Return the parsing scores of predicting nothing: clips without events score full."""
    nothing = np.zeros_like(data.truth["audio"][rows.numpy()])
    empty = np.zeros((len(rows), nothing.shape[2]), np.float32)
    seconds = nothing.astype(np.float32)
    silent = Predictions(
        rows=rows, clip=empty, audio=seconds, visual=seconds, heard=nothing, seen=nothing
    )
    return parsing_scores(silent, data, modalities)


def write_predictions(
    path: Path, data: ClipSource, parts: Iterable[tuple[str, Predictions]]
) -> None:
    """Write one row per clip and second: decisions by name, and all probabilities.

    Columns: clip_key, split, second, heard, seen (lists of class names), audio, visual
    (probabilities [C] of the second), clip (probabilities [C] of the clip). The class names are in
    the metadata, in order.
    """
    names = np.array(data.vocabulary.names, object)  # Arrow ends text of another type at a NUL
    tables = [_rows(data, split, predictions, names) for split, predictions in parts]
    table = pa.concat_tables(tables).replace_schema_metadata(
        {"classes": json.dumps(names.tolist())}
    )
    files.write_whole(path, lambda place: pq.write_table(table, place, compression="zstd"))


def _rows(
    data: ClipSource, split: str, predictions: Predictions, names: np.ndarray[Any, Any]
) -> pa.Table:
    clips, seconds, classes = predictions.audio.shape
    width = pa.list_(pa.float32(), classes)

    def probabilities(values: np.ndarray[Any, Any]) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(values.ravel(), type=width)

    def labels(mask: np.ndarray[Any, Any]) -> pa.Array:
        flat = mask.reshape(-1, classes)
        offsets = np.concatenate([[0], np.cumsum(flat.sum(axis=1))]).astype(np.int32)
        return pa.ListArray.from_arrays(offsets, pa.array(names[np.nonzero(flat)[1]], pa.string()))

    return pa.table(
        {
            "clip_key": np.repeat([data.keys[row] for row in predictions.rows.tolist()], seconds),
            "split": np.repeat([split], clips * seconds),
            "second": np.tile(np.arange(seconds, dtype=np.int32), clips),
            "heard": labels(predictions.heard),
            "seen": labels(predictions.seen),
            "audio": probabilities(predictions.audio),
            "visual": probabilities(predictions.visual),
            "clip": probabilities(np.repeat(predictions.clip, seconds, axis=0)),
        }
    )
