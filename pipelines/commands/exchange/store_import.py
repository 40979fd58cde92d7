"""`beam import`: a feature store out of what `beam export` wrote, checked before it appears."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.commands.exchange.new_folder import new_folder
from pipelines.commands.exchange.stored_clips import (
    WHOLE_TABLES,
    ClipRows,
    beside,
    facts_of,
    read_clips,
    read_whole,
)
from pipelines.commands.exchange.webdataset_export import RECORD
from pipelines.commands.exchange.webdataset_import import read_samples
from pipelines.commands.validate import find_problems
from pipelines.jobs.features.rows import join_tables
from pipelines.store.feature_store import FeatureStore
from pipelines.store.integrity import sha256_of
from pipelines.store.receipts import decode_failure
from schemas import (
    TABLES,
    Failure,
    JobError,
    Recipe,
    StoreManifest,
    TableName,
    UsageError,
    read_store_manifest,
    table_schema,
)
from schemas.manifest import MANIFEST, decode_manifest, subset_id
from schemas.messages import printable, quoted

_CLIPS_PER_UNIT = 256
_UNIT_BYTES = 256 * 2**20


def import_store(source: Path, out: Path) -> dict[str, Any]:
    """Make the store `out` and return the counts of its manifest.

    `UsageError` where `source` is no such folder or `out` is there already, `JobError` for one
    whose files are not what was written; nothing of the store is left then.
    """
    manifest = open_export(source)
    recipe = Recipe.from_json(manifest.data["recipe"])
    _check_files(manifest)
    with new_folder(out) as folder:
        store = FeatureStore(str(folder), recipe)
        store.open(manifest.dataset, recipe)
        whole = _whole_tables(manifest, recipe)
        units = _units(_clips(manifest, recipe))
        done = [key for unit in units for key in _commit(store, recipe, unit)]
        if whole["failures"].num_rows:
            _commit(store, recipe, [], _failures(source, whole["failures"]))
        if subset_id(done) != manifest.subset_id:
            raise JobError(f"{source} does not hold the clips that it names; export it again")
        for name in beside(manifest):
            shutil.copyfile(manifest.root / name, folder / name)
        store.write_manifest(store.state(), whole, facts_of(manifest))
        for problem in find_problems(read_store_manifest(folder)):
            said = problem.replace(f"{folder}/", "")
            raise JobError(f"{source} is no store that could be used: {printable(said)}")
    counts: dict[str, Any] = manifest.data["counts"]
    return counts


def open_export(source: Path) -> StoreManifest:
    """Read what an export says of itself; `UsageError` for a folder that is none."""
    record = source / RECORD
    if record.is_file():
        return StoreManifest(source, decode_manifest(record.read_bytes(), str(record)))
    if not (source / MANIFEST).is_file():
        raise UsageError(
            f"{source} holds neither {RECORD} nor {MANIFEST}; give a folder that beam export "
            "--to webdataset or --to hf wrote"
        )
    if (source / "store.json").is_file():
        raise UsageError(
            f"{source} is a feature store already; the trainer and beam read it as it is"
        )
    return read_store_manifest(source)


def _check_files(manifest: StoreManifest) -> None:
    """Raise `JobError` for a file that is not what was written."""
    parts = [path for paths in manifest.tables.values() for path in paths]
    for name in [*parts, *_shards(manifest)]:
        path = manifest.root / name
        if not path.is_file():
            raise JobError(f"{path} is not there; copy the whole folder again")
        if sha256_of(str(path)) != manifest.checksums.get(name):
            raise JobError(
                f"{path} is not what was written: its sha256 differs; copy the folder again"
            )
    if strange := manifest.tables.keys() - set(TABLES):
        raise UsageError(f"{manifest.root} names a table {quoted(min(strange))}, which is none")


def _shards(manifest: StoreManifest) -> list[str]:
    """Return the names of the tar files; `UsageError` for one that leads out of the folder."""
    names = manifest.data.get("shards", [])
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name.endswith(".tar") and Path(name).name == name
        for name in names
    ):
        raise UsageError(f"{manifest.root / RECORD} names shards that are no tar files beside it")
    return names


def _clips(manifest: StoreManifest, recipe: Recipe) -> Iterator[ClipRows]:
    if "shards" not in manifest.data:
        return read_clips(manifest)
    return read_samples([manifest.root / name for name in _shards(manifest)], recipe)


def _units(clips: Iterator[ClipRows]) -> Iterator[list[ClipRows]]:
    """Group clips to what is written at a time."""
    unit: list[ClipRows] = []
    size = 0
    for clip in clips:
        unit.append(clip)
        size += sum(rows.nbytes for rows in clip.values())
        if len(unit) == _CLIPS_PER_UNIT or size >= _UNIT_BYTES:
            yield unit
            unit, size = [], 0
    if unit:
        yield unit


def _commit(
    store: FeatureStore, recipe: Recipe, unit: list[ClipRows], failures: Sequence[Failure] = ()
) -> list[str]:
    """Write the clips of a unit, or failures, and return the keys of the clips."""
    tables = {name: _as_stored(name, rows, recipe) for name, rows in join_tables(unit).items()}
    keys: list[str] = tables["clips"]["clip_key"].to_pylist() if tables else []
    names = [*keys, *(failure.clip_key for failure in failures)]
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    store.commit(f"unit-{digest[:16]}", tables, keys, failures, {}, {})
    return keys


def _whole_tables(manifest: StoreManifest, recipe: Recipe) -> dict[TableName, pa.Table]:
    tables = {name: table_schema(name).empty_table() for name in ("failures", "events")}
    for name in WHOLE_TABLES:
        table = read_whole(manifest, name)
        if table is not None:
            tables[name] = _as_stored(name, table, recipe)
    return tables


def _as_stored(name: TableName, rows: pa.Table, recipe: Recipe) -> pa.Table:
    """Return rows with the columns that a store's table has; `JobError` where they are others."""
    schema = table_schema(name, recipe)
    try:
        return rows.select(schema.names).cast(schema)
    except (KeyError, pa.ArrowException) as error:
        reason = printable(" ".join(str(error).split()), 200)
        raise JobError(f"table {name} has not the columns of its recipe ({reason})") from None


def _failures(source: Path, table: pa.Table) -> list[Failure]:
    try:
        return [decode_failure(row) for row in table.to_pylist()]
    except ValueError as error:
        raise JobError(f"table failures of {source} cannot be read ({error})") from None
