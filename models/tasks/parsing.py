"""From probabilities to decisions, and from decisions to the scores of a split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.contract.batch import Outputs
from models.contract.config import TrainConfig
from models.data.clips import ClipData
from models.metrics import (
    AVVP_NAMES,
    avvp_class_scores,
    avvp_clip_scores,
    avvp_scores,
    modality_confusion,
    tagging_scores,
)

THRESHOLD = 0.5
"""A class is in a second when its clip probability and its second's both reach this."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """What a model says about N clips. A modality it does not parse is never predicted."""

    rows: Tensor
    """[N] indices of the clips in their `ClipData`."""
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


def gates(outputs: Outputs, gate: str) -> tuple[Tensor, Tensor]:
    """Clip probabilities [B, C] that open the audio and the visual modality."""
    audio = outputs.clip if outputs.clip_audio is None else outputs.clip_audio
    visual = outputs.clip if outputs.clip_visual is None else outputs.clip_visual
    if gate == "modality":
        return audio, visual
    joint = outputs.clip if gate == "joint" else torch.maximum(audio, visual)
    return joint, joint


@torch.no_grad()
def predict(
    model: nn.Module, data: ClipData, rows: Tensor, config: TrainConfig, batch_size: int = 64
) -> Predictions:
    """Run the model over clips without training it."""
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
        heard=(gate_audio >= THRESHOLD)[:, None] & (audio >= THRESHOLD),
        seen=(gate_visual >= THRESHOLD)[:, None] & (visual >= THRESHOLD),
    )


def score_names(modalities: Sequence[str]) -> tuple[str, ...]:
    """Names of the parsing scores that a model of these modalities is judged by."""
    if len(modalities) == 2:
        return AVVP_NAMES
    return tuple(name for name in AVVP_NAMES if name.split("_", 1)[1] == modalities[0])


def masks(predictions: Predictions, data: ClipData) -> tuple[NDArray[np.bool_], ...]:
    """Heard, seen, truly heard, truly seen, each bool [N, T, C]."""
    rows = predictions.rows.numpy()
    return (
        predictions.heard,
        predictions.seen,
        data.truth["audio"][rows],
        data.truth["visual"][rows],
    )


def parsing_scores(
    predictions: Predictions, data: ClipData, modalities: Sequence[str]
) -> dict[str, float]:
    """Parsing scores in per cent of clips with dense truth."""
    scores = avvp_scores(*masks(predictions, data))
    return {name: scores[name] for name in score_names(modalities)}


def clip_scores(
    predictions: Predictions, data: ClipData, modalities: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Parsing scores of each clip, name to [N] from 0 to 1."""
    scores = avvp_clip_scores(*masks(predictions, data))
    return {name: scores[name] for name in score_names(modalities)}


def class_scores(
    predictions: Predictions, data: ClipData, modalities: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """F of each class in per cent by score name; None for a class that does not occur."""
    scores = avvp_class_scores(*masks(predictions, data))
    return {
        name: {
            label: None if np.isnan(value) else float(value)
            for label, value in zip(data.vocabulary.names, scores[name], strict=True)
        }
        for name in score_names(modalities)
        if name in scores
    }


def confusion(predictions: Predictions, data: ClipData) -> list[list[int]]:
    """Seconds of classes by where they are (rows, `PRESENCE`) and where they are found."""
    counts: list[list[int]] = modality_confusion(*masks(predictions, data)).tolist()
    return counts


def split_scores(
    predictions: Predictions, data: ClipData, split: str, modalities: Sequence[str]
) -> Mapping[str, float | None]:
    """Parsing scores where the split has dense truth, else tagging scores of the clips."""
    if split in data.dense_splits:
        return parsing_scores(predictions, data, modalities)
    scores = tagging_scores(predictions.clip, data.labels[predictions.rows].cpu().numpy() > 0.5)
    return {name: value if np.isfinite(value) else None for name, value in scores.items()}


def floor(data: ClipData, rows: Tensor, modalities: Sequence[str]) -> dict[str, float]:
    """Parsing scores of predicting nothing at all: clips without events score full."""
    nothing = np.zeros_like(data.truth["audio"][rows.numpy()])
    empty = np.zeros((len(rows), nothing.shape[2]), np.float32)
    seconds = nothing.astype(np.float32)
    silent = Predictions(
        rows=rows, clip=empty, audio=seconds, visual=seconds, heard=nothing, seen=nothing
    )
    return parsing_scores(silent, data, modalities)
