"""What a trained model is worth: its scores on each split, and what they may be compared with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from models.contract.card import Experiment, ModelCard
from models.contract.config import TrainConfig
from models.data.clips import ClipData
from models.tasks import tagging
from models.tasks.intervals import bootstrap_intervals
from models.tasks.parsing import (
    Predictions,
    class_scores,
    clip_scores,
    confusion,
    floor,
    predict,
    split_scores,
)
from schemas import StoreManifest

FREE_SETTINGS = (
    "seed", "device", "classes", "audio_run", "visual_run", "stream", "buffer_clips", "workers",
)  # fmt: skip
"""Settings that may differ from the experiment's without making it another experiment."""


def judged_splits(data: ClipData) -> list[str]:
    """Splits to report: all with clips but the training split."""
    return [name for name in sorted(set(data.splits.tolist()) - {"train"}) if name]


def judge_split(
    model: nn.Module, data: ClipData, split: str, config: TrainConfig, modalities: Sequence[str]
) -> tuple[dict[str, Any], Predictions]:
    """Everything that is reported about one split, and the predictions behind it.

    Keys: `metrics`; with dense truth also `floor` (what predicting nothing scores), `intervals`
    (95 % bootstrap over clips), `classes` (F of each class) and, of a model of both modalities,
    `confusion` between them (`models.metrics.modality_confusion`).
    """
    rows = data.rows(split)
    predictions = predict(model, data, rows, config)
    report: dict[str, Any] = {"metrics": split_scores(predictions, data, split, modalities)}
    if split in data.dense_splits:
        report["floor"] = floor(data, rows, modalities)
        report["intervals"] = bootstrap_intervals(clip_scores(predictions, data, modalities))
        report["classes"] = class_scores(predictions, data, modalities)
        if len(modalities) == 2:
            report["confusion"] = confusion(predictions, data)
    return report, predictions


def tuned_thresholds(model: nn.Module, data: ClipData, config: TrainConfig) -> dict[str, Any]:
    """Thresholds of a tagging model, one a class, and the split that they were tuned on."""
    split = tagging.tuned_on(data)
    tags = tagging.predict_tags(model, data, data.rows(split))
    values = tagging.tune(tags, data, config)
    return {"tuned_on": split, "values": values.tolist()}


def describe(data: ClipData) -> dict[str, Any]:
    """Where the features come from, as it stands in `results.json`."""
    names, counts = np.unique(data.splits, return_counts=True)
    recipe = data.manifest.data["recipe"]
    return {
        "dataset": data.manifest.dataset,
        "subset_id": data.manifest.subset_id,
        "clips": {str(name) or "none": int(n) for name, n in zip(names, counts, strict=True)},
        "recipe": {name: recipe.get(name) for name in ("name", "hash", "weights")},
        "coverage": coverage(data.manifest),
    }


def coverage(manifest: StoreManifest) -> dict[str, Any]:
    """Split to `clips`, `present` and `missing` by reason, and `date`; empty when not counted."""
    found = manifest.coverage
    if not found or found.get("subset_id") != manifest.subset_id:
        return {}
    shares = {
        split: {name: share[name] for name in ("clips", "present", "missing")}
        for split, share in found["splits"].items()
    }
    return {"date": found["date"], "splits": shares}


def caveats(
    manifest: StoreManifest, card: ModelCard, experiment: Experiment, config: TrainConfig
) -> list[str]:
    """Reasons why the scores cannot be held against the paper's, one sentence each."""
    found = []
    weights = str(manifest.data["recipe"].get("weights", ""))
    if weights.startswith("seeded"):
        found.append(f"the features come from random weights ({weights})")
    if manifest.dataset != card.dataset:
        found.append(f"the data set is {manifest.dataset}, the paper's is {card.dataset}")
    changed = changed_settings(experiment, config)
    if changed:
        said = ", ".join(f"{name} {ours!r} (paper {paper!r})" for name, ours, paper in changed)
        found.append(f"settings differ from the experiment's: {said}")
    return found


def changed_settings(experiment: Experiment, config: TrainConfig) -> list[tuple[str, Any, Any]]:
    """Settings that differ from the experiment's: name, value here, value there."""
    wanted = type(config).from_json(experiment.settings).to_json()
    return [
        (name, value, wanted[name])
        for name, value in config.to_json().items()
        if name not in FREE_SETTINGS and value != wanted[name]
    ]


def paper_entry(card: ModelCard, experiment: Experiment) -> dict[str, Any]:
    """The paper and its numbers, as they stand in `results.json`."""
    rows = [
        {"paper": row.paper, "table": row.table, "row": row.row, "numbers": dict(row.numbers)}
        for row in experiment.rows
    ]
    return {"title": card.title, "authors": card.paper, "url": card.url, "rows": rows}


def spread(values: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (of the sample) of each score over several seeds."""
    table: dict[str, list[float]] = {}
    for name in values[0]:
        column = [value for one in values if (value := one[name]) is not None]
        if len(column) == len(values):
            table[name] = column
    return {
        name: {
            "mean": float(np.mean(column)),
            "std": float(np.std(column, ddof=1)) if len(column) > 1 else 0.0,
        }
        for name, column in table.items()
    }
