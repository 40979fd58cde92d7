"""Records of a store that are JSON of another kind: receipts, store.json, manifest.json."""

import functools
import json
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.store.feature_store import FeatureStore
from schemas import read_store_manifest
from schemas.checked_json import encode_record
from tests.faults.families.stores import SMALL, Files, fill, of_validate, read, write
from tests.faults.family import Family, Outcome
from tests.stores.units import pack_at_once

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 99, 1e308, 10**40, "", "text", "../x", "\x1b[31m", "\ud800", [], [None],
    ["a", 1], {}, {"a": None}, {"a": {"a": []}}, "x" * 3000,
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What is written in the place of one record; `deep` says how far down the change goes."""

    record: str
    seed: int
    deep: int
    value: int
    how: str
    checksum: str


def make(dice: random.Random) -> Change:
    """Return one change of one record."""
    return Change(
        dice.choice(("receipt", "store.json", "manifest.json", "coverage.json")),
        dice.getrandbits(32),
        dice.randrange(4),
        dice.randrange(len(VALUES)),
        dice.choice(("replace", "replace", "remove", "add", "whole", "nest")),
        dice.choice(("right", "none", "left")),
    )


def run(case: Change, folder: Path) -> Outcome:
    """Let every reader meet the change; what it does not refuse it must be able to use."""
    store = folder / "store"
    write(store, small())
    path = store / case.record
    if case.record == "receipt":
        path = random.Random(case.seed).choice(sorted((store / "receipts").iterdir()))
    path.write_bytes(changed(case, json.loads(path.read_bytes())))
    ended = of_validate(store)
    if ended is Outcome.UNREADABLE:
        return ended
    read_store_manifest(store)
    opened = FeatureStore(str(store), SMALL)
    opened.open("folder", SMALL, verify=True)
    pack_at_once(store)
    return of_validate(store)


def changed(case: Change, content: dict[str, Any]) -> bytes:
    """Return a record with one value changed, with or without a checksum that is right."""
    dice, value = random.Random(case.seed), VALUES[case.value]
    if case.how == "whole":
        return json.dumps(value).encode()
    if case.how == "nest":
        return b"[" * 5000
    if case.checksum != "left":
        content.pop("checksum", None)
    holder: Any = content
    for _ in range(case.deep):
        inner = [holder[key] for key in keys_of(holder) if isinstance(holder[key], (dict, list))]
        holder = dice.choice(inner) if inner else holder
    keys = keys_of(holder)
    if case.how == "add" and isinstance(holder, dict):
        holder["more"] = value
    elif case.how == "remove" and keys:
        del holder[dice.choice(keys)]
    elif keys:
        holder[dice.choice(keys)] = value
    return encode_record(content) if case.checksum == "right" else json.dumps(content).encode()


def keys_of(holder: Any) -> list[Any]:
    """Return the keys of an object or the places of a list."""
    return sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))


@functools.cache
def small() -> Files:
    """Return the files of a store of two units."""
    work = Path(tempfile.mkdtemp(prefix="records-"))
    try:
        fill(work, 2)
        return read(work)
    finally:
        shutil.rmtree(work)


FAMILIES = (Family("records", make, run, sample=12),)
