"""Which classes a clip has: scores of models that say it, decisions, and what they are worth.

Letters: N clips, C classes.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.contract.config import TaggingConfig, TrainConfig
from models.data.clips import ClipData
from models.metrics import average_precision, micro_scores, roc_auc, tagging_scores
from models.tasks.thresholds import Values, class_thresholds, global_threshold
from schemas import UsageError

TAGGING_NAMES = ("map", "mauc", "dprime", "micro_f1", "micro_precision", "micro_recall")
"""Scores of every split; fractions, but `dprime`."""

logger = logging.getLogger(__name__)

BATCH = 64
"""Clips in one pass at evaluation."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Tags:
    """What a model says about N clips."""

    rows: Tensor
    """[N] indices of the clips in their `ClipData`."""
    scores: NDArray[np.float32]
    """Scores from 0 to 1, [N, C]."""


@torch.no_grad()
def predict_tags(model: nn.Module, data: ClipData, rows: Tensor, batch_size: int = BATCH) -> Tags:
    """Run the model over clips without training it."""
    model.eval()
    parts = [model(batch).clip.cpu().float().numpy() for batch in data.batches(rows, batch_size)]
    return Tags(rows=rows, scores=np.concatenate(parts))


def truth(tags: Tags, data: ClipData) -> NDArray[np.bool_]:
    """Labels of the clips, [N, C]."""
    return data.labels[tags.rows.to(data.labels.device)].cpu().numpy() > 0.5


def tune(tags: Tags, data: ClipData, config: TrainConfig) -> Values:
    """Thresholds [C] that the settings ask for, tuned on these clips."""
    settings = cast(TaggingConfig, config)
    labels = truth(tags, data)
    if settings.threshold == "fixed":
        return np.full(labels.shape[1], settings.fixed_threshold)
    rule = global_threshold if settings.threshold == "global" else class_thresholds
    return rule(tags.scores, labels)


def tuned_on(data: ClipData) -> str:
    """Split whose clips the thresholds are tuned on: `val`, or `train` when there is no other."""
    return "val" if data.has("val") else "train"


def scores(
    tags: Tags, data: ClipData, thresholds: Values, config: TrainConfig
) -> dict[str, float | None]:
    """Give the six scores of `TAGGING_NAMES`; None for one that is not finite.

    `accuracy` stands beside them where every clip has just one label.
    """
    labels, found = truth(tags, data), tags.scores >= thresholds
    if cast(TaggingConfig, config).unlabelled == "skip":
        listed = found.any(axis=1)
        labels, found = labels[listed], found[listed]
    ranked = tagging_scores(tags.scores, truth(tags, data))
    micro = micro_scores(found, labels) if len(found) else dict.fromkeys(TAGGING_NAMES[3:], 0.0)
    values = {**ranked, **micro, **one_label_accuracy(tags.scores, truth(tags, data))}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def one_label_accuracy(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> dict[str, float]:
    """`accuracy`, the share of clips whose highest score is their label, where all have just one.

    Both are [N, C]. Empty when a clip has no label, or several.
    """
    if not (labels.sum(axis=1) == 1).all():
        return {}
    return {"accuracy": float((scores.argmax(axis=1) == labels.argmax(axis=1)).mean())}


def validation_scores(tags: Tags, data: ClipData, config: TrainConfig) -> dict[str, float]:
    """The finite ones of the six scores, at thresholds tuned on the same clips."""
    found = scores(tags, data, tune(tags, data, config), config)
    return {name: value for name, value in found.items() if value is not None}


def class_scores(
    tags: Tags, data: ClipData, thresholds: Values
) -> dict[str, dict[str, float | None]]:
    """F1, average precision and area under the ROC curve of each class; None where undefined."""
    labels, found = truth(tags, data), tags.scores >= thresholds
    below = found.sum(axis=0) + labels.sum(axis=0)
    f1 = np.where(below > 0, 2 * (found & labels).sum(axis=0) / np.maximum(below, 1), np.nan)
    columns = {
        "f1": f1,
        "ap": average_precision(tags.scores, labels),
        "auc": roc_auc(tags.scores, labels),
    }
    return {
        name: {
            label: None if np.isnan(value) else float(value)
            for label, value in zip(data.vocabulary.names, values, strict=True)
        }
        for name, values in columns.items()
    }


def judge_split(
    model: nn.Module, data: ClipData, split: str, config: TrainConfig, thresholds: Values
) -> tuple[dict[str, Any], Tags]:
    """`metrics` and `classes` of one split, and the scores of the clips behind them."""
    tags = predict_tags(model, data, data.rows(split))
    found = scores(tags, data, thresholds, config)
    if found["map"] is None:
        logger.warning(
            "split %r tells no two classes apart: no class has clips with it and clips without, so "
            "its map, mauc and dprime are left empty", split,
        )  # fmt: skip
    return {
        "metrics": found,
        "classes": class_scores(tags, data, thresholds),
    }, tags


def read_thresholds(results: Mapping[str, Any], classes: int) -> Values:
    """Thresholds [C] as a run's results hold them; `UsageError` when they hold none."""
    found = results.get("thresholds", {}).get("values", ())
    if len(found) != classes:
        raise UsageError("results.json holds no threshold for each class; train the run again")
    return np.asarray(found, np.float64)


def write_tags(
    path: Path, data: ClipData, by_split: Mapping[str, Tags], thresholds: Sequence[float]
) -> None:
    """Write one row a clip: clip_key, split, predicted (class names), scores [C].

    The class names are in the metadata, in order.
    """
    names = np.array(data.vocabulary.names)
    tables = []
    for split, one in by_split.items():
        found = one.scores >= np.asarray(thresholds)
        width = pa.list_(pa.float32(), len(names))
        tables.append(
            pa.table(
                {
                    "clip_key": [data.keys[row] for row in one.rows.tolist()],
                    "split": [split] * len(found),
                    "predicted": pa.array(
                        [names[row].tolist() for row in found], pa.list_(pa.string())
                    ),
                    "scores": pa.FixedSizeListArray.from_arrays(one.scores.ravel(), type=width),
                }
            )
        )
    metadata = {"classes": json.dumps(names.tolist()), "subset_id": data.manifest.subset_id}
    table = pa.concat_tables(tables).replace_schema_metadata(metadata)
    pq.write_table(table, path, compression="zstd")
