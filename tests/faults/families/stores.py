"""Damaged stores: flips, truncations, swaps, old versions and lost files, seen by `beam validate`.

A case ends badly when validate says clean although readers get something else than was written.
"""

import functools
import io
import json
import random
import shutil
import tempfile
import threading
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cli import main
from pipelines.store.coverage import Coverage, write_coverage
from pipelines.store.feature_store import FeatureStore
from pipelines.store.media_store import MediaStore, Outcome
from pipelines.store.parquet import failures_table
from schemas import Clip, Failure, Reason, TableName
from tests.faults.family import Family, of_message
from tests.faults.family import Outcome as Ended
from tests.stores.units import add_units, pack_at_once
from tests.stores.writer import RECIPE

Kind = Literal["loose", "packed", "media"]
Files = dict[str, bytes]
SMALL = RECIPE.with_(extractors=("vggish",))
HOW = ("flip", "flip", "flip", "flip", "cut", "longer", "swap", "old", "lost", "zeros")


@dataclass(frozen=True)
class Damage:
    """What is done to one file of a store; the file is chosen by `share` of their number."""

    kind: Kind
    how: str
    share: float
    other: float
    place: float
    bit: int


def make(dice: random.Random) -> Damage:
    """Return one damage to one file."""
    kind: Kind = dice.choice(("loose", "packed", "media"))
    return Damage(
        kind, dice.choice(HOW), dice.random(), dice.random(), dice.random(), dice.randrange(8)
    )


def run(case: Damage, folder: Path) -> Ended:
    """Damage a store and let validate read it; what readers get decides whether it had to see."""
    files, earlier = snapshots(case.kind)
    store = folder / "store"
    write(store, damaged(case, files, earlier))
    ended = of_validate(store)
    missed = ended is Ended.ROWS and view(store) != expected(case.kind)
    return Ended.WRONG_ROWS if missed else ended


def of_validate(store: Path) -> Ended:
    """Run `beam validate`: its list of problems, on stdout, is the message where it finds any."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        status = main(["validate", str(store)])
    if status == 0:
        return Ended.ROWS
    endings = {of_message(line) for line in said.getvalue().splitlines()}
    return Ended.SENTENCE if endings == {Ended.SENTENCE} else Ended.UNREADABLE


def damaged(case: Damage, files: Files, earlier: Files) -> Files:
    """Return the files of a store with one of them damaged."""
    names = sorted(files)
    if case.how == "old":
        names = [name for name in names if earlier.get(name, files[name]) != files[name]] or names
    name = names[int(case.share * len(names))]
    data, other = bytearray(files[name]), sorted(files)[int(case.other * len(files))]
    place = int(case.place * len(data))
    changed = dict(files)
    if case.how == "swap":
        changed[name], changed[other] = changed[other], changed[name]
    elif case.how == "old":
        changed[name] = earlier.get(name, files[name])
    elif case.how == "lost":
        del changed[name]
    elif case.how == "cut":
        changed[name] = bytes(data[:place])
    elif case.how == "longer":
        changed[name] = bytes(data + data[place:])
    elif case.how == "zeros":
        changed[name] = bytes(data[:place]) + bytes(len(data) - place)
    else:
        data[place] ^= 1 << case.bit
        changed[name] = bytes(data)
    return changed


@functools.cache
def snapshots(kind: Kind) -> tuple[Files, Files]:
    """Return a store's files, and those that it had some time before."""
    work = Path(tempfile.mkdtemp(prefix="stores-"))
    try:
        fill_media(work, 2) if kind == "media" else fill(work, 2)
        earlier = read(work)
        if kind == "media":
            fill_media(work, 3)
        else:
            fill(work, 3)
            relabel(work)
        if kind == "packed":
            pack_at_once(work)
        return read(work), earlier
    finally:
        shutil.rmtree(work)


@functools.cache
def expected(kind: Kind) -> Any:
    """Return what readers get from the store undamaged."""
    work = Path(tempfile.mkdtemp(prefix="stores-"))
    try:
        write(work, snapshots(kind)[0])
        return view(work)
    finally:
        shutil.rmtree(work)


def fill(out: Path, units: int) -> None:
    """Fill a feature store as a job does, with its coverage."""
    clips = [Clip(f"clip{unit:05d}x{number}", 0, 2) for unit in range(units) for number in (0, 1)]
    keys = {clip.key for clip in clips}
    write_coverage(str(out), Coverage.of("folder", clips, keys, {}, str(units)))
    add_units(out, units=units, clips=2, seconds=2, features=("vggish",), boxes=1)


def relabel(out: Path) -> None:
    """Change the labels of some clips, as the last step of a features job does."""
    store = FeatureStore(str(out), SMALL)
    state = store.state()
    clips = {key: Clip(key, 0, 2, "test", ("Dog",), key) for key in sorted(state.done)[:2]}
    manifest = store.read_manifest()
    assert manifest is not None
    state = store.update_labels(state, clips)
    rows = {name: paths for name, paths in store.parts(state).items() if paths}
    store.replace_manifest({**manifest, "tables": {**manifest["tables"], **rows}}, state)


def fill_media(out: Path, units: int) -> None:
    """Fill a media store as a job does; the clips hold no media, which validate does not open."""
    store = MediaStore(str(out))
    store.open("folder", 360)
    for unit in range(units):
        outcomes = []
        for key in (f"a{unit}", f"b{unit}"):
            made = out / ".tmp-fetch-1-x" / key
            made.parent.mkdir(exist_ok=True)
            made.write_bytes(key.encode() * 50)
            digest = sha256(made.read_bytes()).hexdigest()
            store.put(key, made)
            outcomes.append(Outcome(key, 1, {"clip_key": key, "sha256": digest}))
            store.append_journal(f"unit-{unit}", outcomes[-1], threading.Lock())
        lost = Failure(f"c{unit}", "fetch", Reason.GONE, "", 1, "2026-01-01")
        store.commit_outcomes(
            f"unit-{unit}", [*outcomes, Outcome(f"c{unit}", 1, None, lost)], 0, {}
        )
    state = store.media_state()
    counts = {
        "clips_in": 3 * units, "clips_done": len(state.done), "clips_failed": len(state.failed)
    }  # fmt: skip
    facts = {
        "kind": "media", "dataset": "folder", "source": "x", "features": None, "counts": counts,
        "provenance": {},
    }  # fmt: skip
    extra: dict[TableName, pa.Table] = {"failures": failures_table(state.failed.values())}
    store.write_manifest(store.state(), extra, facts, done=state.done)


def view(store: Path) -> Any:
    """Return all that readers get from a store; where they get an error, what it is."""
    try:
        manifest = json.loads((store / "manifest.json").read_bytes())
        for name in ("checksum", "sha256", "receipts_sha256"):
            manifest.pop(name, None)
        tables = {
            name: [pq.read_table(store / path).to_pydict() for path in paths]
            for name, paths in manifest.pop("tables").items()
        }
        return manifest, tables, {path.name: read_beside(path) for path in beside(store)}
    except Exception as error:  # noqa: BLE001  whatever a reader would meet
        return repr(error)


def beside(store: Path) -> list[Path]:
    """Return the files beside the manifest; the card is for people, who may write on in it."""
    names = ("manifest.json", ".lock", "README.md")
    return [path for path in sorted(store.iterdir()) if path.is_file() and path.name not in names]


def read_beside(path: Path) -> Any:
    """Return a file's bytes, or what a record says without its checksum."""
    if path.suffix != ".json":
        return path.read_bytes()
    return {name: value for name, value in json.loads(path.read_bytes()).items()
            if name != "checksum"}  # fmt: skip


def read(folder: Path) -> Files:
    """Return every file of a store by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def write(folder: Path, files: Files) -> None:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


FAMILIES = (Family("stores", make, run, sample=24),)
