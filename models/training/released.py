"""Weights that authors released, read into our nets: tensors by the names of their classes.

Files of `torch.save` are read with `weights_only`, so that nothing in them is run.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models import registry
from models.contract.card import Experiment, ModelCard
from models.contract.config import TrainConfig
from models.training.checkpoint import current_names, refuse_not_finite, written_here
from models.training.method import NetMethod
from models.training.state import Weights
from schemas import UsageError
from schemas.messages import listed, printable, quoted

ENDINGS = (".pt", ".pth", ".safetensors")
"""Endings of files of weights."""
WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Names under which programs save the weights beside other things."""
PARALLEL = "module."
"""What `torch.nn.DataParallel` puts before every name."""


def released_model(name: str | None, weights: Path) -> tuple[str, Experiment, NetMethod[Any]]:
    """Return the net's name, experiment and method that a file of weights is said to be of.

    `UsageError` when none is named or it does not exist.
    """
    if name is None:
        raise UsageError(
            f"say which model {weights} is of: --model NAME, of {listed(registry.MODELS)}"
        )
    try:
        model, experiment = registry.find(name)
    except LookupError as error:
        raise UsageError(str(error)) from None
    return model, experiment, registry.load(model)


def released_settings(method: NetMethod[Any], experiment: Experiment, weights: Path) -> TrainConfig:
    """Return the settings to evaluate a file of weights with.

    A file of the trainer has the experiment's; others have what the authors' program does.
    """
    theirs = {} if written_here(weights) else method.card.released.settings
    settings: TrainConfig = method.config.from_json({**experiment.settings, **theirs})
    return settings


def load_released(path: Path, card: ModelCard, model: nn.Module, classes: int) -> None:
    """Read the weights of a file into a net; `UsageError` naming what does not fit.

    Modules and tensors that the authors' class builds and never uses (`card.released.unused`) are
    passed over.
    `classes` is how many classes the net has been built for.
    """
    wanted = model.state_dict()
    stored = card.released.convert(read_tensors(path))
    unused = tuple(f"{module}." for module in card.released.unused)
    weights = {
        name: value
        for name, value in stored.items()
        if name in wanted or not f"{name}.".startswith(unused)
    }
    try:
        refuse_not_finite(weights)
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}; fetch it again") from None
    lacking, extra = wanted.keys() - weights.keys(), weights.keys() - wanted.keys()
    if lacking or extra:
        raise UsageError(_other_model(path, card, stored, sorted(lacking), sorted(extra)))
    for name, value in wanted.items():
        if weights[name].shape != value.shape:
            raise UsageError(_other_shape(path, card, name, weights[name], value, classes))
    model.load_state_dict(weights)


def read_tensors(path: Path) -> Weights:
    """Read the tensors of a `.pt`, `.pth` or `.safetensors` file by name.

    `UsageError` when it is missing, of another kind, damaged, or holds more than tensors.
    """
    if path.suffix not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise UsageError(f"{path} is no file of weights by its ending; they end in {known}")
    if not path.is_file():
        raise UsageError(f"{path} is not a file; give the file with the weights")
    if path.suffix == ".safetensors":
        return current_names(_read_safetensors(path))
    return current_names(_tensors(path, _unwrapped(_read_saved(path))))


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"{path} is no readable safetensors file ({printable(str(error), 200)}); fetch it again"
        ) from None


def _read_saved(path: Path) -> Any:
    """Return what `torch.save` wrote, where that is tensors, numbers, text and containers."""
    rebuild = np.array(0).__reduce__()[0]
    arrays: list[Any] = [
        rebuild, (rebuild, "numpy.core.multiarray._reconstruct"), np.ndarray, np.dtype,
        *(type(np.dtype(code)) for code in "?bBhHiIlLfd"),
    ]  # fmt: skip
    try:
        with torch.serialization.safe_globals(arrays):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  what a damaged file does to its reader is not listed
        pickled = re.search(r"GLOBAL (\S+)", str(error))
        if pickled is not None and isinstance(error, pickle.UnpicklingError):
            raise UsageError(
                f"{path} holds pickled objects, not tensors alone ({printable(pickled[1], 80)}); "
                "save the state_dict() of the net, and give that file"
            ) from None
        said = printable(" ".join(str(error).split()), 120) or type(error).__name__
        raise UsageError(f"{path} is no readable file of torch.save ({said})") from None


def _unwrapped(content: Any) -> Any:
    """Return the weights of what a program saved beside them."""
    if isinstance(content, Mapping):
        for name in WRAPPERS:
            if isinstance(content.get(name), Mapping):
                return content[name]
    return content


def _tensors(path: Path, content: Any) -> Weights:
    if not isinstance(content, Mapping) or not content:
        kind = "nothing" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise UsageError(f"{path} holds {kind} where tensors by name are wanted; save state_dict()")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UsageError(
                f"{path} holds a {type(value).__name__} as {quoted(name)} where a tensor is "
                "wanted; save the state_dict() of the net alone"
            )
    wrapped = all(name.startswith(PARALLEL) for name in content)
    return {name[len(PARALLEL) * wrapped :]: value for name, value in content.items()}


def _other_model(
    path: Path, card: ModelCard, stored: Mapping[str, Tensor], lacking: list[str], extra: list[str]
) -> str:
    parts = [f"{said} {listed(names, most=3)}" for said, names in
             (("lack", lacking), ("have in excess", extra)) if names]  # fmt: skip
    fits = [
        name
        for name, (model, experiment) in registry.experiments().items()
        if registry.load(model).card.needs == card.needs
        and _fits(stored, model, experiment.settings)
    ]
    hint = f"they fit --model {listed(fits, most=5)}" if fits else "no model here has these weights"
    what = " and ".join(parts)
    return f"{path} holds the weights of another model than {card.name}: they {what}; {hint}"


def _fits(stored: Mapping[str, Tensor], model: str, settings: Mapping[str, Any]) -> bool:
    """Return whether a net has just the tensors of a file, but for those that are never used."""
    method = registry.load(model)
    with torch.device("meta"):
        names = method.build(method.config.from_json(settings)).state_dict().keys()
    stored = method.card.released.convert(stored)
    unused = tuple(f"{module}." for module in method.card.released.unused)
    return names <= stored.keys() and all(
        name in names or name.startswith(unused) for name in stored
    )


def _other_shape(
    path: Path, card: ModelCard, name: str, stored: Tensor, wanted: Tensor, classes: int
) -> str:
    if stored.shape[1:] == wanted.shape[1:] and len(wanted) == classes:
        return (
            f"{path} is for {len(stored)} classes ({name} is {tuple(stored.shape)}) and the clips "
            f"have {classes}; take clips of the data set that it was trained on"
        )
    return (
        f"{path} has {name} {tuple(stored.shape)}, {card.name} needs {tuple(wanted.shape)}; give "
        "weights of a net of the same sizes"
    )
