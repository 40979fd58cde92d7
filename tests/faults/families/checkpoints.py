"""Hostile run folders: weights, saves of a training and `config.json` that are damaged or lie."""

import copy
import functools
import json
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from models.data.clips import open_clips
from models.training import checkpoint, loop, state
from models.training.run_folder import CHECKPOINT, CONFIG, RESUME, RunConfig, read_config
from models.training.state import Training
from tests.contributing import toy_parser
from tests.faults.family import Family, Outcome
from tests.stores.parsing import CLASSES, ParsingRows

VALUES: tuple[Any, ...] = (
    None, "", "x", -1, 99, 1e300, float("nan"), True, [], {}, [[]], {"a": 1}, "\x1b[2J", 2**80,
)  # fmt: skip
"""What facts and settings are replaced by."""


@dataclass(frozen=True)
class Damage:
    """A file of a run folder, and what is done to it."""

    file: str
    how: str
    seed: int


def make(dice: random.Random) -> Damage:
    """Return one kind of damage to one of the files."""
    file = dice.choice([CHECKPOINT, RESUME, RESUME, CONFIG])
    kinds = ("bytes", "cut", "values") if file == CONFIG else (
        "bytes", "cut", "values", "lost", "shape", "kind", "not finite"
    )  # fmt: skip
    return Damage(file, dice.choice(kinds), dice.getrandbits(32))


def begin() -> Training:
    """Return a training of a toy net that has not begun."""
    config = toy_parser.Config(classes=len(CLASSES), epochs=2)
    torch.manual_seed(0)
    net, loss = toy_parser.Model(config), toy_parser.Loss(config)
    data = open_clips(_store(), toy_parser.CARD.needs)
    return state.begin(net, loss, data, config, toy_parser.CARD.task)


@functools.cache
def _store() -> Path:
    return ParsingRows().write(Path(tempfile.mkdtemp()) / "store")


@functools.cache
def good_files() -> dict[str, bytes]:
    """Return the files of a run as they should be."""
    folder = Path(tempfile.mkdtemp())
    training = begin()
    loop.fit(training)
    checkpoint.save_weights(folder / CHECKPOINT, training.model)
    checkpoint.save_training(folder / RESUME, training)
    config = RunConfig(
        experiment="han", model="han", settings={"epochs": 2}, classes=CLASSES, features="store"
    )
    (folder / CONFIG).write_text(json.dumps(config.to_json()))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def spoiled(damage: Damage, data: bytes, folder: Path) -> bytes:
    """Return the file with the damage."""
    dice = random.Random(damage.seed)
    at = dice.randrange(len(data))
    if damage.how == "bytes":
        at = dice.choice((at, dice.randrange(min(len(data), 2000))))
        return data[:at] + dice.randbytes(dice.randrange(1, 9)) + data[at + 4 :]
    if damage.how == "cut":
        return data[:at]
    if damage.file == CONFIG:
        content = json.loads(data)
        content[dice.choice([*content])] = dice.choice(VALUES)
        return json.dumps(content).encode()
    return _spoiled_tensors(damage.how, dice, data, folder)


def _spoiled_tensors(how: str, dice: random.Random, data: bytes, folder: Path) -> bytes:
    (folder / "whole").write_bytes(data)
    with safe_open(folder / "whole", framework="pt") as file:
        metadata = dict(file.metadata() or {})
        if dice.random() < 0.8:  # as version 1 wrote it, so that the content itself is looked at
            metadata.pop("sha256")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    name = dice.choice(sorted(tensors))
    if how == "lost":
        del tensors[name]
    elif how == "shape":
        tensors[name] = torch.zeros(dice.choice([(), (0,), (3,), (2, 5, 1)]))
    elif how == "kind":
        tensors[name] = tensors[name].to(dice.choice([torch.int8, torch.float64, torch.bool]))
    elif how == "not finite":
        tensors[name] = torch.full_like(tensors[name].float(), dice.choice([torch.inf, torch.nan]))
    elif "facts" in metadata:
        facts = json.loads(metadata["facts"])
        facts[dice.choice([*facts])] = dice.choice(VALUES)
        metadata["facts"] = json.dumps(facts)
    return save(tensors, metadata=metadata or None)


def run(case: Damage, folder: Path) -> Outcome:
    """Read the damaged file; a training that goes on from it is one that could have been saved."""
    path = folder / case.file
    path.write_bytes(spoiled(case, copy.copy(good_files()[case.file]), folder))
    if case.file == CONFIG:
        return Outcome.ROWS if read_config(folder).classes else Outcome.WRONG_ROWS
    training = begin()
    if case.file == CHECKPOINT:
        checkpoint.load_weights(path, training.model)
    else:
        checkpoint.load_training(path, training)
    finite = all(torch.isfinite(value).all() for value in training.model.state_dict().values())
    in_time = 0 <= training.state.epoch <= training.config.epochs
    return Outcome.ROWS if finite and in_time else Outcome.WRONG_ROWS


FAMILIES = (Family("checkpoints", make, run, sample=40),)
