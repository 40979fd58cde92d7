"""The run folder of a training: what lies in it, and whether a training may go on in it."""

import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from models import registry
from models.contract.config import TrainConfig
from models.data.source import ClipSource
from models.runtime import distributed as parallel
from models.runtime import files
from schemas import UsageError
from schemas.checked_json import Record
from schemas.features import WITHOUT_WEIGHTS
from schemas.messages import printable
from schemas.recipe import BOX_SETTINGS, FRAME_SETTINGS

CONFIG, RESULTS, PREDICTIONS = "config.json", "results.json", "predictions.parquet"
CHECKPOINT, RESUME = "checkpoint.safetensors", "resume.safetensors"
HISTORY, REPORT = "history.csv", "report.html"
TRACKED = ("tracking.json", "events.out.tfevents.*")
"""What trackers leave in the folder."""
FIGURES = ("curves.png", "timelines.png", "confusion.png", "classes.png")
"""What trainings and tasks draw into the folder."""


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
        """Return the fields back from `to_json`; fields of other versions are passed over.

        ValueError for a field of another type.
        """
        record = Record(dict(data))
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        for name in ("experiment", "model"):
            record.get(name, str)
        record.get("settings", dict)
        for name, kind in (("features", str), ("annotations", str), ("recipe", dict)):
            if known.get(name) is not None:
                record.get(name, kind)
        classes = record.items("classes", str)
        if not classes:
            raise ValueError("it has no classes")
        fold = known.get("fold")
        if fold is not None:
            folds, tested = record.get("fold", list)
            fold = (int(folds), str(tested))
        return cls(**{**known, "classes": classes, "fold": fold})


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
    except (LookupError, OverflowError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path} is of another version of this program ({printable(str(error), 300)}); train "
            "it again"
        ) from None
    return config


def refuse_other_features(
    folder: Path, trained: RunConfig, data: ClipSource, needs: Sequence[str]
) -> None:
    """Raise `UsageError` when a run was trained on features that were made in another way.

    A store may have more extractors than the run's own, or frames one by one, which are averaged;
    log-mel and frames come from no weights.
    """
    ours, theirs = trained.recipe or {}, data.manifest.data["recipe"]
    name = other_setting(ours, theirs, needs)
    if name is not None:
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


BEFORE_CHOICE = {
    "ncp_windows": "loudest",
    "proposals_source": "edgeboxes",
    "proposals_choice": "best",
}
"""Settings that recipes of before they were one do not say."""


def other_setting(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], needs: Sequence[str]
) -> str | None:
    """Return the first setting in which two recipes make the features `needs` differently."""
    ignored = {"hash", "extractors", "resnet152_frames"}
    if set(needs) <= WITHOUT_WEIGHTS:
        ignored |= {"weights", "precision"}
    if "frames" not in needs:
        ignored.update(FRAME_SETTINGS)
    if "components" not in needs:
        ignored.add("ncp_windows")
    if "proposals" not in needs:
        ignored.update(BOX_SETTINGS)
    before = BEFORE_CHOICE
    ours, theirs = {**before, **ours}, {**before, **theirs}
    differing = (
        name
        for name in ours
        if name not in ignored and name in theirs and ours[name] != theirs[name]
    )
    return next(differing, None)


def forget(folder: Path) -> None:
    """Remove what an earlier training left, so that no folder holds parts of two trainings."""
    if parallel.rank() == 0 and folder.is_dir():
        left = (RESULTS, PREDICTIONS, CHECKPOINT, RESUME, HISTORY, REPORT, "evaluation-*.json")
        for pattern in (*left, *FIGURES, *TRACKED):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)


def free_folder(base: Path) -> Path:
    """Make the next folder that no training has: `base`, `base_2`, `base_3`, ...; return it.

    All processes of one training get the same folder.
    """
    return parallel.of_first(lambda: next(path for path in _series(base) if _claimed(path)))


def last_folder(base: Path) -> Path:
    """Return the folder that `free_folder` made last; `base` when it has made none."""
    taken = list(itertools.takewhile(Path.exists, _series(base)))
    return taken[-1] if taken else base


def _series(base: Path) -> Iterator[Path]:
    yield base
    for number in itertools.count(2):
        yield base.with_name(f"{base.name}_{number}")


def _claimed(path: Path) -> bool:
    """Make a folder, or take an empty one; return whether it is ours."""
    with files.as_job_errors(path):
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            return path.is_dir() and not any(path.iterdir())
        return True


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run folder alone; `UsageError` while another training has it.

    The lock is on the folder itself and ends with the process. What a killed training had begun to
    write is removed, and so is a folder that is empty in the end.
    """
    if parallel.rank() > 0:
        yield
        return
    with files.as_job_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle, folder)
        files.sweep(folder)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                folder.rmdir()
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"another training is writing to {folder}; wait for it or take another --run folder"
        ) from None


def stopped_before_save(folder: Path) -> bool:
    """Return whether a training was begun in the folder and stopped before its first save."""
    begun = (folder / CONFIG).is_file()
    return begun and not any((folder / name).is_file() for name in (RESUME, RESULTS))


def unreported(folder: Path) -> bool:
    """Return whether a training in the folder ended before it had written its page."""
    return (folder / RESULTS).is_file() and not (folder / REPORT).is_file()


def refuse_finished(folder: Path) -> None:
    """Raise `UsageError` when the folder holds a finished run."""
    if (folder / RESULTS).is_file():
        raise UsageError(
            f"{folder} holds a finished run; take another --run folder, or replace it with "
            "--overwrite"
        )


def refuse_other_settings(folder: Path, config: TrainConfig, settings: Mapping[str, Any]) -> None:
    """Raise `UsageError` when a training was started with other settings than `config`."""
    wanted, started = config.to_json(), type(config)().to_json() | dict(settings)
    changed = [name for name in wanted if name != "device" and wanted[name] != started[name]]
    if changed:
        before, now = (printable(repr(values[changed[0]]), 60) for values in (started, wanted))
        raise UsageError(
            f"{folder} was started with {changed[0]} {before}, not {now}; go on with the same "
            "settings or take another --run folder"
        )


def has_settings(folder: Path, config: TrainConfig, names: Sequence[str]) -> bool:
    """Return whether the folder holds a training whose settings `names` are those of `config`."""
    if not (folder / CONFIG).is_file():
        return False
    settings, wanted = read_config(folder).settings, config.to_json()
    return all(settings.get(name) == wanted[name] for name in names)


def refuse_other_clips(folder: Path, data: ClipSource, subset: str) -> None:
    """Raise `UsageError` when a training was started on another subset than that of `data`."""
    if subset not in (data.manifest.subset_id, data.scored_subset):
        raise UsageError(
            f"{folder} was started on other clips (subset {printable(subset, 40)}, now "
            f"{data.manifest.subset_id}); start anew in another --run folder"
        )
