"""The run folder of a training: what lies in it, and whether a training may go on in it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from models import registry
from models.contract.config import TrainConfig
from models.data.source import ClipSource
from models.runtime import distributed as parallel
from models.runtime import files
from schemas import UsageError

CONFIG, RESULTS, PREDICTIONS = "config.json", "results.json", "predictions.parquet"
CHECKPOINT, RESUME = "checkpoint.safetensors", "resume.safetensors"


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What `config.json` holds: how a training was started."""

    experiment: str
    """Name of the experiment."""
    model: str
    """Name of the net in the registry."""
    settings: Mapping[str, Any]
    """Settings of the training."""
    classes: tuple[str, ...]
    """Class names in order."""
    features: str | None = None
    """Feature store."""
    annotations: str | None = None
    """Original annotation files, if they were given."""
    recipe: Mapping[str, Any] | None = None
    """Recipe of the features."""
    fold: tuple[int, str] | None = None
    """Number of folds and the one that is tested on, in a cross-validation."""

    def to_json(self) -> dict[str, Any]:
        """Return every field, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the fields back from `to_json`; fields of other versions are passed over."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        return cls(**{**known, "classes": tuple(known["classes"])})


def read_config(folder: Path) -> RunConfig:
    """Return what `config.json` of a run holds; `UsageError` when the folder is no run."""
    path = folder / CONFIG
    data = files.read_json(path, "no run folder of models/train.py")
    lacking = [name for name in ("experiment", "model", "settings", "classes") if name not in data]
    if lacking:
        raise UsageError(
            f"{path} has no {lacking[0]!r}, so {folder} is no run folder of models/train.py; train "
            "the run again"
        )
    try:
        config = RunConfig.from_json(data)
        name, _ = registry.find(config.experiment)
        registry.load(name).config.from_json(config.settings)
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path} is of another version of this program ({error}); train it again"
        ) from None
    return config


def refuse_other_features(folder: Path, data: ClipSource, needs: Sequence[str]) -> None:
    """Raise `UsageError` when a run was trained on features that were made in another way.

    A store may have more extractors than the run's own, or frames one by one, which are averaged;
    log-mel comes from no weights.
    """
    trained = read_config(folder)
    ours, theirs = trained.recipe or {}, data.manifest.data["recipe"]
    ignored = {"hash", "extractors", "resnet152_frames"}
    if set(needs) <= {"logmel"}:
        ignored |= {"weights", "precision"}
    for name in [field for field in ours if field not in ignored and field in theirs]:
        if ours[name] != theirs[name]:
            raise UsageError(
                f"{folder} was trained on features with {name} {ours[name]!r} and those of "
                f"{data.manifest.root} have {name} {theirs[name]!r}; take a store that was made "
                "alike, or train on this one"
            )
    if trained.classes != data.vocabulary.names:
        known = f"{len(trained.classes)} classes, {data.manifest.root} has {len(data.vocabulary)}"
        raise UsageError(
            f"{folder} was trained on {known}, and they are not the same ones in the same order; "
            "take a store of the same data set"
        )


def forget(folder: Path) -> None:
    """Remove what an earlier training left, so that no folder holds parts of two trainings."""
    if parallel.rank() == 0 and folder.is_dir():
        for name in (RESULTS, PREDICTIONS, CHECKPOINT, RESUME):
            (folder / name).unlink(missing_ok=True)


def refuse_other_settings(folder: Path, config: TrainConfig, settings: Mapping[str, Any]) -> None:
    """Raise `UsageError` when a training was started with other settings than `config`."""
    wanted, started = config.to_json(), type(config)().to_json() | dict(settings)
    changed = [name for name in wanted if name != "device" and wanted[name] != started[name]]
    if changed:
        raise UsageError(
            f"{folder} was started with {changed[0]} {started[changed[0]]!r}, not "
            f"{wanted[changed[0]]!r}; go on with the same settings or take another --run folder"
        )


def refuse_other_clips(folder: Path, data: ClipSource, subset: str) -> None:
    """Raise `UsageError` when a training was started on another subset than that of `data`."""
    if subset != data.manifest.subset_id:
        raise UsageError(
            f"{folder} was started on other clips (subset {subset}, now "
            f"{data.manifest.subset_id}); start anew in another --run folder"
        )
