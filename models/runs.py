"""The run folder of a training: settings, results, predictions, weights, and where to go on."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from models import parallel
from models.data import ClipData
from models.engine import Training, random_state
from models.scoring import Predictions
from schemas import UsageError

CONFIG, RESULTS, PREDICTIONS = "config.json", "results.json", "predictions.parquet"
CHECKPOINT, RESUME = "checkpoint.safetensors", "resume.safetensors"


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name and rename it, so that no half file is ever seen.

    Of several processes only the first one writes.
    """
    if parallel.rank() > 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    write(temporary)
    temporary.replace(path)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON, whole."""
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda place: place.write_text(text))


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read JSON; `UsageError` when the file is not there or is not JSON."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise UsageError(f"{path.parent} has no {path.name}, so it is {what}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not readable JSON ({error})") from None


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the model's weights."""
    state = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    write_whole(path, lambda place: place.write_bytes(save(state)))


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights into the model; `UsageError` when the file is missing or of another model."""
    if not path.is_file():
        raise UsageError(f"{path.parent} has no {path.name}, so no finished training; train first")
    try:
        model.load_state_dict(load_file(path))
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
    write_whole(path, lambda place: place.write_bytes(save(held, metadata=meta)))


def load_training(path: Path, training: Training) -> None:
    """Set a fresh training to where the one of `save_training` stood.

    `UsageError` when that one had other settings or another store.
    """
    with _open(path) as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    wanted = training.config.to_json()
    started = type(training.config)().to_json() | facts["config"]
    changed = [name for name in wanted if name != "device" and wanted[name] != started[name]]
    if changed:
        raise UsageError(
            f"{path.parent} was started with {changed[0]} {started[changed[0]]!r}, not "
            f"{wanted[changed[0]]!r}; go on with the same settings or take another --run folder"
        )
    if facts["subset_id"] != training.data.manifest.subset_id:
        raise UsageError(
            f"{path.parent} was started on other clips (subset {facts['subset_id']}, now "
            f"{training.data.manifest.subset_id}); start anew in another --run folder"
        )
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


def _open(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(
            f"{path.parent} has no {path.name}, so nothing to resume; leave --resume out"
        )
    return safe_open(path, framework="pt")


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
    write_whole(path, lambda place: pq.write_table(table, place, compression="zstd"))


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
