"""Weights of a net, and saves of a training to go on from, as safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from models.runtime import files
from models.training.loop import random_state
from models.training.run_folder import refuse_other_clips, refuse_other_settings
from models.training.state import Training, TrainState, Weights
from schemas import UsageError

RENAMED = {"deviation": "std"}
"""Buffers of version 1 and what they are called now."""


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the net's weights."""
    state = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    files.write_whole(path, lambda place: place.write_bytes(save(state)))


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights into the net; `UsageError` when the file is missing or of another net."""
    if not path.is_file():
        raise UsageError(f"{path.parent} has no {path.name}, so no finished training; train first")
    try:
        model.load_state_dict(current_names(load_file(path)))
    except SafetensorError as error:
        raise UsageError(f"{path} is damaged ({error}); train the run again") from None
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise UsageError(f"{path} holds the weights of another model: {first}") from None


def current_names(weights: Mapping[str, Tensor]) -> Weights:
    """Return weights by the names that the nets have now, whatever version wrote them.

    >>> list(current_names({"norms.0.deviation": torch.ones(1)}))
    ['norms.0.std']
    """
    renamed = {}
    for name, value in weights.items():
        module, dot, last = name.rpartition(".")
        renamed[f"{module}{dot}{RENAMED.get(last, last)}"] = value
    return renamed


def save_training(path: Path, training: Training) -> None:
    """Write everything that the training needs to go on from here."""
    groups: dict[str, Mapping[str, Tensor]] = {
        "model": training.model.state_dict(),
        "kept": training.state.kept,
        "loss": training.loss.state_dict(),
        "optimizer": _optimizer_state(training.optimizer),
        "dropped": training.data.dropped or {},
    }
    tensors = {
        f"{group}.{name}": value for group, held in groups.items() for name, value in held.items()
    }
    tensors["random"] = random_state(training.device)
    facts = {
        "config": training.config.to_json(),
        "subset_id": training.data.manifest.subset_id,
        "scaler": training.scaler.state_dict(),
        **training.state.to_json(),
    }
    held = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    content = save(held, metadata={"facts": json.dumps(facts)})
    files.write_whole(path, lambda place: place.write_bytes(content))


def load_training(path: Path, training: Training) -> None:
    """Set a fresh training to where the one of `save_training` stood.

    `UsageError` when that one had other settings or another store.
    """
    facts, tensors = _read(path)
    refuse_other_settings(path.parent, training.config, facts["config"])
    refuse_other_clips(path.parent, training.data, facts["subset_id"])
    training.model.load_state_dict(_group(tensors, "model"))
    training.loss.load_state_dict(_group(tensors, "loss"))
    training.scaler.load_state_dict(facts["scaler"])
    _load_optimizer_state(training.optimizer, _group(tensors, "optimizer"))
    dropped = _group(tensors, "dropped")
    if dropped:
        training.data = training.data.without(dropped["audio"], dropped["visual"])
    training.state = TrainState.from_json(facts, _group(tensors, "kept"), tensors["random"])


def _read(path: Path) -> tuple[dict[str, Any], Weights]:
    """Return facts and tensors of a save."""
    if not path.is_file():
        raise UsageError(
            f"{path.parent} has no {path.name}, so nothing to resume; leave --resume out"
        )
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UsageError(f"{path} is damaged ({error}); leave --resume out") from None
    return facts, current_names(tensors)


def _group(tensors: Mapping[str, Tensor], group: str) -> Weights:
    start = f"{group}."
    return {
        name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
    }


def _optimizer_state(optimizer: torch.optim.Optimizer) -> Weights:
    """Return the tensors of the optimiser by `<index of the parameter>.<name>`."""
    return {
        f"{index}.{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def _load_optimizer_state(optimizer: torch.optim.Optimizer, tensors: Weights) -> None:
    state: dict[int, Weights] = {}
    for name, value in tensors.items():
        index, moment = name.split(".")
        state.setdefault(int(index), {})[moment] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
