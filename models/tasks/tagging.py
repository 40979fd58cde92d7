"""Tagging: which classes a clip has, and from which score on.

Letters: N clips, C classes.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.contract.config import TaggingConfig, TrainConfig
from models.contract.report import ClipTimeline, SplitReport, Thresholds
from models.contract.task import Modality
from models.data import splits
from models.data.scored import ScoredClips
from models.data.source import ClipSource
from models.metrics import micro_scores, tagging_scores
from models.runtime import distributed as parallel
from models.runtime import files
from models.tasks.calibration import calibrated, expected_calibration_error, fit_calibration
from models.tasks.class_scores import ByClass, by_name, class_gains, class_scores, finite
from models.tasks.ontology_scores import ontology_scores
from models.tasks.sound_events import (
    SOUND_EVENT_NAMES,
    TimedTags,
    Timeline,
    fit_segment_share,
    has_sound_events,
    sound_event_scores,
)
from models.tasks.thresholds import Values, class_thresholds, global_threshold
from models.tasks.timelines import tagging_timelines
from schemas import UsageError
from schemas.manifests.ontology import read_ontology
from schemas.messages import listed

TAGGING_NAMES = ("map", "mauc", "dprime", "micro_f1", "micro_precision", "micro_recall")
"""Scores of every split; fractions, but `dprime`."""
COLUMNS = {
    "micro_f1": "F1", "micro_precision": "P", "micro_recall": "R", "map": "mAP", "mauc": "mAUC"
}  # fmt: skip
"""Scores that papers print, in per cent, and how they head a column."""
BATCH = 64
"""Clips of one forward pass at evaluation."""
WRITTEN_AT_ONCE = 2**14
"""Clips of a row group of predictions."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, kw_only=True)
class Tags:
    """What a net says about N clips."""

    rows: Tensor
    """[N] indices of the clips in their `ClipSource`."""
    scores: NDArray[np.float32]
    """Scores from 0 to 1, [N, C]."""
    segments: NDArray[np.float32] | None = None
    """Scores over time, [N, S, C]: where the net gives them and the truth over time is known."""


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """The task of a net that says which classes a clip has."""

    modalities: tuple[Modality, ...]
    """Modalities that it reads."""
    selection_metric: Literal["map", "micro_f1"]
    """Validation score that selects the epoch: the one by which the paper ranks."""
    timeline: Timeline | None = None
    """Scores over time, where the net gives some."""

    name: ClassVar[str] = "tagging"
    columns: ClassVar[Mapping[str, str]] = COLUMNS
    curves: ClassVar[tuple[str, ...]] = tuple(name for name in TAGGING_NAMES if name != "dprime")
    unit: ClassVar[str] = "fraction"
    validation_clips: ClassVar[str] = "validation clips"
    partial_gradients: ClassVar[bool] = False

    def printed(self, name: str, value: float) -> float:
        """Return a score as tables print it: fractions in per cent, d' as it is."""
        shares = (*COLUMNS, "accuracy", "map_ancestors", "omap", *SOUND_EVENT_NAMES)
        return 100.0 * value if name in shares and name != "sed_segment_er" else value

    def hold_out(self, clips: ClipSource) -> ClipSource:
        """Return the clips with some training clips for validation, where there are none."""
        return splits.hold_out(clips)

    def check(self, clips: ClipSource) -> None:
        """Raise `UsageError` when the training clips show one class only."""
        splits.refuse_hopeless(clips)

    def can_validate(self, clips: ClipSource) -> bool:
        """Return whether there are validation clips."""
        return clips.has("val")

    def predict(
        self, model: nn.Module, clips: ClipSource, rows: Tensor, config: TrainConfig
    ) -> Tags:
        """Run the net over the clips `rows` [N] without training it."""
        return predict_tags(model, clips, rows, timeline=self.timeline)

    def validate(
        self, predictions: Tags, clips: ClipSource, config: TrainConfig
    ) -> dict[str, float]:
        """Return the finite scores of validation clips, at thresholds tuned on the same clips."""
        values = scores(predictions, clips, tune(predictions, clips, config), config)
        return {name: value for name, value in values.items() if value is not None}

    def fit(self, model: nn.Module, clips: ClipSource, config: TrainConfig) -> Thresholds:
        """Tune the thresholds, on the validation clips where there are some.

        Scores are calibrated on validation clips alone: of training clips they are too good.
        """
        split = tuned_on(clips)
        tags = self.predict(model, clips, clips.rows(split), config)
        values, labels = tune(tags, clips, config), truth(tags, clips)
        warn_of_absent(labels, clips, split)
        calibration = fit_calibration(tags.scores, labels, split) if split == "val" else None
        timed = self.timed(tags, clips)
        share = None if timed is None else fit_segment_share(timed, values)
        return Thresholds(
            tuned_on=split, values=tuple(values.tolist()), calibration=calibration,
            segment_share=share,
        )  # fmt: skip

    def timed(self, tags: Tags, clips: ClipSource) -> TimedTags | None:
        """Return the scores over time with the truth; None where one of them is not known."""
        if self.timeline is None or tags.segments is None:
            return None
        return TimedTags.of(self.timeline, tags.scores, tags.segments, clips, tags.rows)

    def evaluate(
        self,
        predictions: Tags,
        clips: ClipSource,
        split: str,
        config: TrainConfig,
        thresholds: Thresholds | None,
    ) -> SplitReport:
        """Return the scores of a split, what they say of each class, and their calibration.

        Where events of the audio are annotated and the net has a timeline, scores of detection too.
        """
        cuts = cut_values(thresholds, len(clips.vocabulary))
        metrics = scores(predictions, clips, cuts, config)
        if metrics["map"] is None:
            logger.warning(
                "split %r tells no two classes apart: no class has clips with it and clips "
                "without, so its map, mauc and dprime are left empty", split,
            )  # fmt: skip
        probabilities = probabilities_of(predictions.scores, thresholds)
        labels = truth(predictions, clips)
        errors = {"ece_before": expected_calibration_error(predictions.scores, labels)}
        if probabilities is not None:
            errors["ece_after"] = expected_calibration_error(probabilities, labels)
        names = clips.vocabulary.names
        classes = class_scores(predictions.scores, labels, cuts, names, probabilities)
        if isinstance(clips, ScoredClips):
            classes |= class_gains(predictions.scores, labels, clips, predictions.rows)
        found, of_events = self._event_scores(predictions, clips, cuts, thresholds)
        metrics, classes = metrics | found, classes | of_events
        known, lists = by_ontology(predictions.scores, labels, clips, config)
        metrics |= known
        counted = sum(area is not None for area in classes["auc"].values())
        ranked = {"classes": len(names), "counted": counted}
        return SplitReport(
            metrics=metrics, classes=classes, calibration=errors, ranked=ranked, ontology=lists
        )

    def _event_scores(
        self, tags: Tags, clips: ClipSource, cuts: Values, thresholds: Thresholds | None
    ) -> tuple[dict[str, float | None], ByClass]:
        """Return the scores of detection and those of each class; none without a timeline."""
        timed = self.timed(tags, clips)
        if timed is None:
            return {}, {}
        share = None if thresholds is None else thresholds.segment_share
        found, by_class = sound_event_scores(
            timed, cuts, 1.0 if share is None else share, clips.seconds
        )
        names = clips.vocabulary.names
        return (
            {name: finite(value) for name, value in found.items()},
            {name: by_name(values, names) for name, values in by_class.items()},
        )

    def written_splits(self, clips: ClipSource) -> list[str]:
        """Return all splits: a fusion learns from the scores of the training clips."""
        return [*splits.evaluated(clips), "train"]

    def write(
        self,
        path: Path,
        clips: ClipSource,
        predictions: Iterable[tuple[str, Tags]],
        thresholds: Thresholds | None,
    ) -> None:
        """Write one row per clip (`write_tags`)."""
        write_tags(path, clips, predictions, cut_values(thresholds, len(clips.vocabulary)))

    def timelines(self, path: Path, clips: ClipSource) -> dict[str, list[ClipTimeline]]:
        """Return the worst, the best and some random clips of what `write` wrote, by kind."""
        return tagging_timelines(path, clips)

    def draw(
        self,
        folder: Path,
        clips: ClipSource,
        predictions: Mapping[str, Tags],
        reports: Mapping[str, SplitReport],
    ) -> None:
        """Draw F1 and average precision of each class of the test clips, or of the last split."""
        from models.runtime.figures import save  # matplotlib: 0.5 s that a net alone needs not
        from models.tasks.figures import class_scores as class_figure

        split = "test" if "test" in reports else max(reports, default="")
        classes = reports[split].classes if split else None
        if classes is not None:
            save(class_figure(classes, split, clips.origin), folder / "classes.png")


@torch.no_grad()
def predict_tags(
    model: nn.Module, data: ClipSource, rows: Tensor, batch_size: int = BATCH,
    timeline: Timeline | None = None,
) -> Tags:  # fmt: skip
    """Run a net over clips without training it; over time too where the truth over time is known.

    Scores over time are those of `timeline`, where the net's settings let it give some. Of several
    processes each takes its share of the clips, and every one gets all scores.
    """
    model.eval()
    wanted = timeline is not None and has_sound_events(data, rows)
    scores: list[NDArray[np.float32]] = []
    segments: list[NDArray[np.float32]] = []
    for batch in data.batches(parallel.share_of(rows), batch_size):
        outputs = model(batch)
        scores.append(outputs.clip.cpu().float().numpy())
        if timeline is not None and wanted and timeline.name in outputs.extra:
            segments.append(outputs.extra[timeline.name].cpu().float().numpy())
    over_time = parallel.joined(np.concatenate(segments), len(rows)) if segments else None
    whole = parallel.joined(np.concatenate(scores), len(rows))
    return Tags(rows=rows, scores=whole, segments=over_time)


def truth(tags: Tags, data: ClipSource) -> NDArray[np.bool_]:
    """Return the labels of the clips, bool [N, C]."""
    return data.labels[tags.rows.to(data.labels.device)].cpu().numpy() > 0.5


def tune(tags: Tags, data: ClipSource, config: TrainConfig) -> Values:
    """Return the thresholds [C] that the settings ask for, tuned on these clips."""
    settings = cast(TaggingConfig, config)
    labels = truth(tags, data)
    if settings.threshold == "fixed":
        return np.full(labels.shape[1], settings.fixed_threshold)
    rule = global_threshold if settings.threshold == "global" else class_thresholds
    return rule(tags.scores, labels)


def tuned_on(data: ClipSource) -> str:
    """Return the split that thresholds are tuned on: `val`, or `train` when there is no other."""
    return "val" if data.has("val") else "train"


def scores(
    tags: Tags, data: ClipSource, thresholds: Values, config: TrainConfig
) -> dict[str, float | None]:
    """Return the six scores of `TAGGING_NAMES`; None for one that is not finite.

    `accuracy` stands beside them where every clip has just one label.
    """
    labels, predicted = truth(tags, data), tags.scores >= thresholds
    if cast(TaggingConfig, config).unlabelled == "skip":
        listed = predicted.any(axis=1)
        labels, predicted = labels[listed], predicted[listed]
    ranked = tagging_scores(tags.scores, truth(tags, data))
    micro = (
        micro_scores(predicted, labels) if len(predicted) else dict.fromkeys(TAGGING_NAMES[3:], 0.0)
    )
    values = {**ranked, **micro, **one_label_accuracy(tags.scores, truth(tags, data))}
    return {name: finite(value) for name, value in values.items()}


def by_ontology(
    scores: NDArray[np.float32], labels: NDArray[np.bool_], clips: ClipSource, config: TrainConfig
) -> tuple[dict[str, float | None], dict[str, list[float | None]] | None]:
    """Return the scores that know the ontology, and their lists; none where none is set."""
    path, names = cast(TaggingConfig, config).ontology, clips.vocabulary.names
    if not path:
        return {}, None
    values, lists = ontology_scores(scores, labels, read_ontology(Path(path), names), names)
    return {name: finite(value) for name, value in values.items()}, lists


def one_label_accuracy(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> dict[str, float]:
    """Return `accuracy`, the share of clips whose highest score is their label.

    Both are [N, C]. Empty when a clip has no label, or several.
    """
    if not (labels.sum(axis=1) == 1).all():
        return {}
    return {"accuracy": float((scores.argmax(axis=1) == labels.argmax(axis=1)).mean())}


def warn_of_absent(labels: NDArray[np.bool_], data: ClipSource, split: str) -> None:
    """Say which classes none of the clips has that thresholds are tuned on; labels are [N, C]."""
    absent = np.flatnonzero(~labels.any(axis=0))
    if len(absent):
        names = listed([data.vocabulary.names[column] for column in absent], 5)
        logger.warning(
            "%d of %d classes have no clip in split %r (%s): their thresholds and probabilities "
            "rest on the other classes", len(absent), labels.shape[1], split, names,
        )  # fmt: skip


def probabilities_of(
    scores: NDArray[np.float32], thresholds: Thresholds | None
) -> NDArray[np.float64] | None:
    """Return scores calibrated as a run's are; None where it has no calibration."""
    if thresholds is None or thresholds.calibration is None:
        return None
    return calibrated(scores, thresholds.calibration)


def cut_values(thresholds: Thresholds | None, classes: int) -> Values:
    """Return the thresholds of a run, [C]; `UsageError` when it has not one per class."""
    if thresholds is None or len(thresholds.values) != classes:
        raise UsageError("results.json holds no threshold for each class; train the run again")
    return np.asarray(thresholds.values, np.float64)


def write_tags(
    path: Path, data: ClipSource, parts: Iterable[tuple[str, Tags]], thresholds: Values
) -> None:
    """Write one row per clip, whole: clip_key, split, predicted (class names), scores [C].

    Parts are written as they come, each in row groups of its own. The class names are in the
    metadata, in order.
    """
    names = np.array(data.vocabulary.names)
    schema = pa.schema(
        {
            "clip_key": pa.string(),
            "split": pa.string(),
            "predicted": pa.list_(pa.string()),
            "scores": pa.list_(pa.float32(), len(names)),
        },
        {"classes": json.dumps(names.tolist()), "subset_id": data.manifest.subset_id},
    )

    def write(place: Path) -> None:
        with pq.ParquetWriter(place, schema, compression="zstd") as file:
            for split, tags in parts:
                columns = [
                    [data.keys[row] for row in tags.rows.tolist()],
                    [split] * len(tags.rows),
                    [names[row].tolist() for row in tags.scores >= thresholds],
                    pa.FixedSizeListArray.from_arrays(tags.scores.ravel(), type=schema.types[3]),
                ]
                file.write_table(pa.table(columns, schema), row_group_size=WRITTEN_AT_ONCE)

    files.write_whole(path, write)
