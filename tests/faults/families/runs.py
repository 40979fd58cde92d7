"""Run folders whose `config.json` or `results.json` somebody edited.

A record is taken only when every field is of its kind, and is then written again as it was read.
"""

import copy
import json
import math
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from models.training import run_folder as runs
from models.training.results import RunResults
from tests.faults.family import Family, Outcome

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 99, 10**30, 0.5, float("nan"), float("inf"), "", "x", "\x00", "x" * 9000,
    [], {}, [None], {"x": None}, [[[]]],
)  # fmt: skip
"""Values that stand in the place of others."""


@dataclass(frozen=True)
class Edit:
    """What is done to a file: so many changes, drawn from a seed."""

    kind: str
    seed: int
    changes: int


def make(dice: random.Random) -> Edit:
    kind = dice.choice(["config.json", "results.json"])
    return Edit(kind, dice.getrandbits(32), dice.randint(1, 3))


def run(case: Edit, folder: Path) -> Outcome:
    """Read a spoiled record; what is taken must be written again as it was read."""
    dice = random.Random(case.seed)
    for name, content in records().items():
        record = json.loads(content)
        if name == case.kind:
            for _ in range(case.changes):
                spoil(record, dice)
        (folder / name).write_text(json.dumps(record))
    config = runs.read_config(folder)
    results = RunResults.read(folder / runs.RESULTS)
    json.dumps([config.to_json(), results.to_json()], allow_nan=False)
    cuts = results.thresholds.values if results.thresholds else ()
    return Outcome.ROWS if all(map(math.isfinite, cuts)) else Outcome.WRONG_ROWS


def spoil(record: Any, dice: random.Random) -> None:
    """Drop or replace one value somewhere in a JSON object."""
    place = record
    while isinstance(place, dict | list) and place:
        key: Any = (
            dice.choice(sorted(place)) if isinstance(place, dict) else dice.randrange(len(place))
        )
        child = place[key]
        if isinstance(child, dict | list) and child and dice.random() < 0.5:
            place = child
            continue
        if dice.random() < 0.3:
            del place[key]
        else:
            place[key] = copy.deepcopy(dice.choice(HOSTILE))
        return


@cache
def records() -> dict[str, str]:
    """What `config.json` and `results.json` of a tagging run hold."""
    config = runs.RunConfig(
        experiment="two_stream", model="two_stream", settings={"epochs": 3, "hidden": 8},
        classes=("Dog", "Car"), features="out", recipe={"name": "llp-eccv20"}, fold=(2, "1"),
    )  # fmt: skip
    scores = {"map": 0.5, "mauc": 0.6, "dprime": None}
    results = {
        "experiment": "two_stream", "model": "two_stream", "paper": {"rows": [{"numbers": {}}]},
        "metrics": {"test": scores, "val": scores}, "floor": {}, "intervals": {},
        "classes": {"test": {"f1": {"Dog": 1.0, "Car": None}}}, "confusion": {},
        "features": {"subset_id": "made-up", "clips": {"test": 3}}, "subset_id": "made-up",
        "caveats": ["made up"], "thresholds": {"tuned_on": "val", "values": [0.5, 0.25]},
        "kept_epoch": 2, "history": [{"epoch": 1, "total": 1.0}], "seed": 1, "seconds": 2.5,
    }  # fmt: skip
    return {runs.CONFIG: json.dumps(config.to_json()), runs.RESULTS: json.dumps(results)}


FAMILIES = (Family("run_records", make, run, sample=60),)
