"""The run folder of a training: settings, results, predictions, weights, and where to go on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from models import registry
from models.contract.config import TrainConfig
from models.data.clips import ClipData
from models.runtime import distributed as parallel
from models.runtime import files
from models.tasks.parsing import Predictions
from models.training.loop import Training, random_state
from schemas import UsageError

CONFIG, RESULTS, PREDICTIONS = "config.json", "results.json", "predictions.parquet"
CHECKPOINT, RESUME = "checkpoint.safetensors", "resume.safetensors"


def read_config(folder: Path) -> dict[str, Any]:
    """What `config.json` of a run holds; `UsageError` when the folder is no run of the trainer."""
    found = files.read_json(folder / CONFIG, "no run folder of models/train.py")
    lacking = [name for name in ("experiment", "model", "settings", "classes") if name not in found]
    if lacking:
        raise UsageError(
            f"{folder / CONFIG} has no {lacking[0]!r}, so {folder} is no run folder of "
            "models/train.py; train the run again"
        )
    try:
        name, _ = registry.find(found["experiment"])
        registry.settings(name, found["settings"])
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(
            f"{folder / CONFIG} is of another version of this program ({error}); train it again"
        ) from None
    return found


def refuse_other_features(folder: Path, data: ClipData, needs: Sequence[str]) -> None:
    """Raise `UsageError` when a run was trained on features that were made in another way.

    A store may have more extractors than the run's own, or frames one by one, which are averaged;
    log-mel comes from no weights.
    """
    found = read_config(folder)
    ours, theirs = found.get("recipe", {}), data.manifest.data["recipe"]
    ignored = {"hash", "extractors", "resnet152_frames"}
    if set(needs) <= {"logmel"}:
        ignored |= {"weights", "precision"}
    for name in [one for one in ours if one not in ignored and one in theirs]:
        if ours[name] != theirs[name]:
            raise UsageError(
                f"{folder} was trained on features with {name} {ours[name]!r} and those of "
                f"{data.manifest.root} have {name} {theirs[name]!r}; take a store that was made "
                "alike, or train on this one"
            )
    if found["classes"] != list(data.vocabulary.names):
        known = f"{len(found['classes'])} classes, {data.manifest.root} has {len(data.vocabulary)}"
        raise UsageError(
            f"{folder} was trained on {known}, and they are not the same ones in the same order; "
            "take a store of the same data set"
        )


def forget(folder: Path) -> None:
    """Remove what an earlier training left, so that no folder holds parts of two trainings."""
    if parallel.rank() == 0 and folder.is_dir():
        for name in (RESULTS, PREDICTIONS, CHECKPOINT, RESUME):
            (folder / name).unlink(missing_ok=True)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the model's weights."""
    state = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    files.write_whole(path, lambda place: place.write_bytes(save(state)))


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights into the model; `UsageError` when the file is missing or of another model."""
    if not path.is_file():
        raise UsageError(f"{path.parent} has no {path.name}, so no finished training; train first")
    try:
        model.load_state_dict(load_file(path))
    except SafetensorError as error:
        raise UsageError(f"{path} is damaged ({error}); train the run again") from None
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise UsageError(f"{path} holds the weights of another model: {first}") from None


def save_training(path: Path, training: Training) -> None:
    """Write everything that the training needs to go on from here."""
    tensors = {f"model.{name}": value for name, value in training.model.state_dict().items()}
    tensors |= {f"kept.{name}": value for name, value in training.kept.items()}
    tensors |= {f"loss.{name}": value for name, value in training.loss.state_dict().items()}
    tensors["random"] = random_state(training.device)
    for index, moments in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    tensors |= {f"dropped.{name}": value for name, value in (training.data.dropped or {}).items()}
    facts = {
        "config": training.config.to_json(),
        "subset_id": training.data.manifest.subset_id,
        "epoch": training.epoch,
        "step": training.step,
        "sums": training.sums,
        "scaler": training.scaler.state_dict(),
        "kept_epoch": training.kept_epoch,
        "kept_score": training.kept_score,
        "history": training.history,
    }
    held = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    meta = {"facts": json.dumps(facts)}
    files.write_whole(path, lambda place: place.write_bytes(save(held, metadata=meta)))


def load_training(path: Path, training: Training) -> None:
    """Set a fresh training to where the one of `save_training` stood.

    `UsageError` when that one had other settings or another store.
    """
    with _open(path) as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    refuse_other_settings(path.parent, training.config, facts["config"])
    refuse_other_clips(path.parent, training.data, facts["subset_id"])
    training.model.load_state_dict(_part(tensors, "model."))
    training.loss.load_state_dict(_part(tensors, "loss."))
    training.kept = _part(tensors, "kept.")
    training.random = tensors["random"] if facts["step"] else None
    training.scaler.load_state_dict(facts["scaler"])
    _load_moments(training.optimizer, _part(tensors, "optimizer."))
    dropped = _part(tensors, "dropped.")
    if dropped:
        training.data = training.data.without(dropped["audio"], dropped["visual"])
    for name in ("epoch", "step", "sums", "kept_epoch", "kept_score", "history"):
        setattr(training, name, facts[name])


def refuse_other_settings(folder: Path, config: TrainConfig, settings: Mapping[str, Any]) -> None:
    """Raise `UsageError` when a training was started with other settings than `config`."""
    wanted, started = config.to_json(), type(config)().to_json() | dict(settings)
    changed = [name for name in wanted if name != "device" and wanted[name] != started[name]]
    if changed:
        raise UsageError(
            f"{folder} was started with {changed[0]} {started[changed[0]]!r}, not "
            f"{wanted[changed[0]]!r}; go on with the same settings or take another --run folder"
        )


def refuse_other_clips(folder: Path, data: ClipData, subset: str) -> None:
    """Raise `UsageError` when a training was started on another subset than that of `data`."""
    if subset != data.manifest.subset_id:
        raise UsageError(
            f"{folder} was started on other clips (subset {subset}, now "
            f"{data.manifest.subset_id}); start anew in another --run folder"
        )


def _open(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(
            f"{path.parent} has no {path.name}, so nothing to resume; leave --resume out"
        )
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise UsageError(f"{path} is damaged ({error}); leave --resume out") from None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _load_moments(optimizer: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in moments.items():
        index, moment = name.split(".")
        state.setdefault(int(index), {})[moment] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def write_predictions(path: Path, data: ClipData, by_split: Mapping[str, Predictions]) -> None:
    """Write one row for each clip and second: decisions by name, and all probabilities.

    Columns: clip_key, split, second, heard, seen (lists of class names), audio, visual
    (probabilities [C] of the second), clip (probabilities [C] of the clip). The class names are in
    the metadata, in order.
    """
    names = np.array(data.vocabulary.names)
    tables = [_rows(data, split, one, names) for split, one in by_split.items()]
    table = pa.concat_tables(tables).replace_schema_metadata(
        {"classes": json.dumps(names.tolist())}
    )
    files.write_whole(path, lambda place: pq.write_table(table, place, compression="zstd"))


def _rows(data: ClipData, split: str, one: Predictions, names: np.ndarray[Any, Any]) -> pa.Table:
    clips, seconds, classes = one.audio.shape
    width = pa.list_(pa.float32(), classes)

    def probabilities(values: np.ndarray[Any, Any]) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(values.ravel(), type=width)

    def labels(mask: np.ndarray[Any, Any]) -> pa.Array:
        flat = mask.reshape(-1, classes)
        offsets = np.concatenate([[0], np.cumsum(flat.sum(axis=1))]).astype(np.int32)
        return pa.ListArray.from_arrays(offsets, pa.array(names[np.nonzero(flat)[1]], pa.string()))

    return pa.table(
        {
            "clip_key": np.repeat([data.keys[row] for row in one.rows.tolist()], seconds),
            "split": np.repeat([split], clips * seconds),
            "second": np.tile(np.arange(seconds, dtype=np.int32), clips),
            "heard": labels(one.heard),
            "seen": labels(one.seen),
            "audio": probabilities(one.audio),
            "visual": probabilities(one.visual),
            "clip": probabilities(np.repeat(one.clip, seconds, axis=0)),
        }
    )
