"""The clips of a feature store one after the other, each with its rows of every table."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.store.parquet import parquet_settings
from schemas import JobError, StoreManifest, TableName
from schemas.labels import PSEUDO_LABELS
from schemas.messages import printable

ClipRows = dict[TableName, pa.Table]
"""The rows of one clip by table; the tables in which it has none are left out."""

WHOLE_TABLES: tuple[TableName, ...] = ("failures", "events", PSEUDO_LABELS)
"""Tables that a store has in one piece, also for clips without rows elsewhere."""
_OF_FILES = frozenset(
    {"schema_version", "tables", "subset_id", "sha256", "receipts_sha256", "shards"}
)
_ROWS_AT_ONCE = 256


def read_clips(
    manifest: StoreManifest, columns: Mapping[TableName, Sequence[str]] | None = None
) -> Iterator[ClipRows]:
    """Yield the rows of every clip in the order of table `clips`; few rows are held at a time.

    `columns` names the tables and columns to read; left out: all but `WHOLE_TABLES`. `JobError`
    for a damaged file, or a table whose clips are not in the order of `clips`.
    """
    every = {name: () for name in manifest.tables if name not in WHOLE_TABLES}
    streams = {
        name: _by_clip(_read_batches(manifest.paths(name), wanted))
        for name, wanted in (every if columns is None else columns).items()
        if name != "clips"
    }
    fronts = {name: next(stream, None) for name, stream in streams.items()}
    for key, rows in _by_clip(_read_batches(manifest.paths("clips"), ())):
        clip = {"clips": rows}
        for name, front in fronts.items():
            if front is not None and front[0] == key:
                clip[name] = front[1]
                fronts[name] = next(streams[name], None)
        yield clip
    for name, front in fronts.items():
        if front is not None:
            raise JobError(
                f"table {name} of {manifest.root} has rows of clip {printable(front[0])} that are "
                "not in the order of table clips; beam validate says what is wrong"
            )


def read_whole(manifest: StoreManifest, table: TableName) -> pa.Table | None:
    """Return a table in one piece, None where the store has none; `JobError` for a damaged one."""
    paths = manifest.paths(table)
    batches = list(_read_batches(paths, ()))
    if batches:
        return pa.Table.from_batches(batches)
    return pq.read_schema(paths[0]).empty_table() if paths else None


def facts_of(manifest: StoreManifest) -> dict[str, Any]:
    """Return what a manifest says of clips and features, without what it says of its files."""
    return {name: value for name, value in manifest.data.items() if name not in _OF_FILES}


def beside(manifest: StoreManifest) -> list[str]:
    """Return the names of the pages of coverage that lie beside a manifest."""
    return [name for name in ("coverage.json", "coverage.md") if (manifest.root / name).is_file()]


def whole_path(table: TableName) -> str:
    """Return where an export keeps a table in one piece."""
    return f"{table}/whole.parquet"


def write_whole_tables(manifest: StoreManifest, folder: Path) -> dict[TableName, int]:
    """Copy the tables in one piece and the pages of coverage; return the tables' rows."""
    rows = {}
    for name in WHOLE_TABLES:
        table = read_whole(manifest, name)
        if table is not None:
            (folder / name).mkdir()
            path = folder / whole_path(name)
            pq.write_table(table, path, **parquet_settings(table.schema))
            rows[name] = table.num_rows
    for name in beside(manifest):
        shutil.copyfile(manifest.root / name, folder / name)
    return rows


def _read_batches(paths: Sequence[Path], columns: Collection[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as part:
                wanted = [*columns] if columns else None
                for batch in part.iter_batches(_ROWS_AT_ONCE, columns=wanted, use_threads=False):
                    batch.validate(full=True)
                    yield batch
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = printable(" ".join(str(error).split()), 200)
            raise JobError(
                f"{path} cannot be read ({reason}); beam validate lists what is damaged"
            ) from error


def _by_clip(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[str, pa.Table]]:
    """Yield key and rows of clip after clip, whose rows stand together."""
    key, held = "", list[pa.RecordBatch]()
    for batch in batches:
        if not batch.num_rows:
            continue
        for start, stop in _spans(batch["clip_key"]):
            name = str(batch["clip_key"][start])
            if held and name != key:
                yield key, pa.Table.from_batches(held)
                held = []
            key = name
            held.append(batch.slice(start, stop - start))
    if held:
        yield key, pa.Table.from_batches(held)


def _spans(keys: pa.Array) -> Iterator[tuple[int, int]]:
    """Yield first and last row but one of each run of equal keys."""
    changes = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False).nonzero()[0] + 1
    edges = [0, *changes.tolist(), len(keys)]
    yield from pairwise(edges)
