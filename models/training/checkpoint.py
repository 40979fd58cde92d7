"""Weights of a net, and saves of a training to go on from, as safetensors."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from models.data.source import ClipSource
from models.runtime import files
from models.training.loop import random_state, steps_of
from models.training.run_folder import refuse_other_clips, refuse_other_settings
from models.training.state import Training, TrainState, Weights
from schemas import UsageError
from schemas.messages import printable

RENAMED = {"deviation": "std"}
"""Buffers of version 1 and what they are called now."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps for each weight, beside `step`."""


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the net's weights."""
    state = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    content = save(state, metadata={"sha256": _digest(state)})
    files.write_whole(path, lambda place: place.write_bytes(content))


def load_weights(path: Path, model: nn.Module) -> None:
    """Read weights into the net; `UsageError` when the file is missing or of another net."""
    if not path.is_file():
        raise UsageError(f"{path.parent} has no {path.name}, so no finished training; train first")
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            expected = (file.metadata() or {}).get("sha256")
        if expected is not None and _digest(stored) != expected:
            raise ValueError("its values are not those that were written")
        weights = current_names(stored)
        refuse_not_finite(weights)
        model.load_state_dict(weights)
    except (SafetensorError, ValueError) as error:
        raise UsageError(f"{path} is damaged ({error}); train the run again") from None
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise UsageError(f"{path} holds the weights of another model: {first}") from None


def written_here(path: Path) -> bool:
    """Return whether a file of weights is one of `save_weights`."""
    try:
        with safe_open(path, framework="pt") as file:
            return "sha256" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def _digest(tensors: Mapping[str, Tensor], facts: str = "") -> str:
    """Return a hash of tensors and facts; version 1 stored none."""
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def refuse_not_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError for the first tensor with a value that is not finite."""
    for name, value in tensors.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} holds a value that is not finite")


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
    text = json.dumps(facts)
    content = save(held, metadata={"facts": text, "sha256": _digest(held, text)})
    files.write_whole(path, lambda place: place.write_bytes(content))


def load_training(path: Path, training: Training) -> None:
    """Set a fresh training to where the one of `save_training` stood.

    `UsageError` when that one had other settings or another store, or when the file holds what no
    save of this training holds.
    """
    facts, tensors = _read(path)
    with _as_damage(path):
        settings, subset = dict(facts["config"]), str(facts["subset_id"])
    refuse_other_settings(path.parent, training.config, settings)
    refuse_other_clips(path.parent, training.data, subset)
    with _as_damage(path):
        refuse_not_finite(tensors)
        state = TrainState.from_json(facts, _group(tensors, "kept"), tensors["random"])
        state.check(training.config.epochs, training.model.state_dict())
        _check_random(tensors["random"])
        training.model.load_state_dict(_group(tensors, "model"))
        training.loss.load_state_dict(_group(tensors, "loss"))
        training.scaler.load_state_dict(facts["scaler"])
        _load_optimizer_state(training.optimizer, _group(tensors, "optimizer"))
        dropped = _group(tensors, "dropped")
        if dropped:
            training.data = _without(training.data, dropped)
        _check_step(state, training)
        training.state = state


@contextmanager
def _as_damage(path: Path) -> Iterator[None]:
    """Turn whatever a file's content does to its reader into a `UsageError`."""
    try:
        yield
    except KeyError as error:
        raise UsageError(f"{path} is damaged (it lacks {error}); leave --resume out") from None
    except (
        AttributeError, IndexError, OverflowError, RuntimeError, SafetensorError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        said = " ".join(str(error).split())
        raise UsageError(
            f"{path} is damaged ({printable(said, 200)}); leave --resume out"
        ) from None


def _check_step(state: TrainState, training: Training) -> None:
    """Raise ValueError for a step that an epoch of this training does not have."""
    if state.step:
        order = training.data.order(training.config, state.epoch)
        steps = len(steps_of(order, training.config))
        if state.step > steps:
            raise ValueError(f"it stands at step {state.step} of the {steps} of an epoch")


def _check_random(state: Tensor) -> None:
    """Raise for what is no state of the random numbers; leave them as they are."""
    current = torch.get_rng_state()
    torch.set_rng_state(state[: len(current)])
    torch.set_rng_state(current)


def _without(data: ClipSource, dropped: Weights) -> ClipSource:
    for labels in dropped.values():
        if labels.shape != data.labels.shape or labels.dtype != torch.bool:
            raise ValueError("its dropped labels are of other clips")
    return data.without(dropped["audio"], dropped["visual"])


def _read(path: Path) -> tuple[dict[str, Any], Weights]:
    """Return facts and tensors of a save."""
    if not path.is_file():
        raise UsageError(
            f"{path.parent} has no {path.name}, so nothing to resume; leave --resume out"
        )
    with _as_damage(path), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        facts = json.loads(metadata["facts"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("sha256") not in (None, _digest(tensors, metadata["facts"])):
            raise ValueError("its values are not those that were written")
        if not isinstance(facts, dict):
            raise TypeError("its facts are no object")
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
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, moments in state.items():
        shapes = {"step": torch.Size(), **dict.fromkeys(MOMENTS, parameters[number].shape)}
        if {name: value.shape for name, value in moments.items()} != shapes:
            raise ValueError(f"its optimiser state {number} is of another net")
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
