"""Join the many small parts of a feature store into few large shards.

A pack is a unit like any other, only larger: one part per table, and one receipt that names the
units that it replaces. So shards of one name hold the same clips in every table, a killed job
loses nothing, and `beam run features` finds its clips done.

    OUT/snippets/unit-<hash>.parquet  ...      OUT/snippets/pack-<n>-<hash>.parquet
    OUT/receipts/unit-<hash>.json     ...  ->  OUT/receipts/pack-<n>-<hash>.json

The order of the clips does not change, so training on either gives the same numbers. Rows go from
file to file one row group at a time; no row group, and so no shard, splits a clip.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystem import BeamIOError

from pipelines.store import files
from pipelines.store.audit import without_unfinished_packs
from pipelines.store.feature_store import FeatureStore
from pipelines.store.integrity import sha256_of
from pipelines.store.parquet import IMAGE_GROUP_BYTES, HashedFile, parquet_settings
from pipelines.store.receipts import Receipt, StoreState, merge_provenance
from schemas import JobError, TableName
from schemas.features import IMAGE_TABLES

ROW_GROUP_BYTES = 32 * 2**20
"""Bytes of a row group before compression: one column of it is worth a request to a bucket."""
_ROWS_AT_ONCE = 256
_PREFIX = "pack-"


@dataclass(frozen=True)
class Shard:
    """A pack to make."""

    name: str
    units: tuple[str, ...]
    """Units that it joins, in order."""

    @classmethod
    def of(cls, number: int, units: tuple[str, ...]) -> "Shard":
        """Return a shard, named by its number in the order and a hash of its units."""
        digest = hashlib.sha256("\n".join(units).encode()).hexdigest()
        return cls(f"{_PREFIX}{number:06d}-{digest[:16]}", units)

    def encode(self) -> bytes:
        """Return the shard as JSON, which crosses the shuffle: names only."""
        return json.dumps({"name": self.name, "units": self.units}).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Shard":
        """Read a shard back from `encode`."""
        raw = json.loads(data)
        return cls(raw["name"], tuple(raw["units"]))


def plan(store: FeatureStore, most: int) -> list[Shard]:
    """Return the shards to make so that the largest table of each has about `most` bytes.

    What a killed pack job has made is planned again as it was, and found done; if it was made for
    another `most`, its receipt is removed. The parts that it joins stay until the manifest is
    replaced.
    """
    receipts = list(store.receipts())
    counted = without_unfinished_packs(receipts)
    before = StoreState.of(counted)
    unfinished = {receipt.unit for receipt in receipts} - {receipt.unit for receipt in counted}
    sizes = {str(name): files.sizes(files.join(store.out, name)) for name in store.tables}
    shards = list(plan_shards(before.receipts, sizes, most))
    store.delete_receipts(before.replaced | (unfinished - {shard.name for shard in shards}))
    return shards


def plan_shards(
    receipts: Iterable[Receipt], sizes: Mapping[str, Mapping[str, int]], most: int
) -> Iterator[Shard]:
    """Yield the shards to make so that the largest table of each has about `most` bytes.

    `sizes` are the bytes of every part, by table and file name. Neighbours are joined in order; a
    pack that is at least half full stays, so a second call finds nothing to do.
    """
    number = 0
    for group in _groups(receipts, sizes, most):
        first = group[0].unit
        number = int(first.split("-")[1]) if first.startswith(_PREFIX) else number
        if len(group) > 1 or not first.startswith(_PREFIX):
            yield Shard.of(number, tuple(receipt.unit for receipt in group))
        number += 1


def _groups(
    receipts: Iterable[Receipt], sizes: Mapping[str, Mapping[str, int]], most: int
) -> Iterator[list[Receipt]]:
    group: list[Receipt] = []
    held: Counter[str] = Counter()
    for receipt in receipts:
        own = Counter(
            {name: sizes[name].get(path.split("/")[1], 0) for name, path in receipt.parts.items()}
        )
        alone = max(own.values(), default=0) * 2 >= most
        if group and (alone or max((held + own).values(), default=0) > most):
            yield group
            group, held = [], Counter()
        group.append(receipt)
        held += own
        if alone:
            yield group
            group, held = [], Counter()
    if group:
        yield group


def pack(store: FeatureStore, shard: Shard, row_group_bytes: int = ROW_GROUP_BYTES) -> Receipt:
    """Make and commit one shard and return its receipt; the parts that it joins stay.

    A shard that is committed already gives its receipt at once. Raises `JobError` when a part is
    not what its receipt says.
    """
    receipt = store.receipt(shard.name)
    if receipt is not None:
        return receipt
    receipts = _members(store, shard)
    parts: dict[str, str] = {}
    rows: dict[str, int] = {}
    sizes: dict[str, int] = {}
    sha256: dict[str, str] = {}
    for table in store.tables:
        having = [receipt for receipt in receipts if table in receipt.parts]
        if having:
            parts[table] = f"{table}/{shard.name}.parquet"
            batches = _batches(store, having, table)
            sizes[table], sha256[table] = _join(store, batches, parts[table], row_group_bytes)
            rows[table] = sum(receipt.rows[table] for receipt in having)
    packed = Receipt(
        unit=shard.name,
        done=tuple(key for member in receipts for key in member.done),
        failed=tuple(failure for member in receipts for failure in member.failed),
        parts=parts,
        rows=rows,
        size=sum(sizes.values()),
        seconds=_sum_seconds(member.seconds for member in receipts),
        provenance=merge_provenance(receipts),
        replaces=shard.units,
        recipe=_common_recipe(store, receipts),
        sizes=sizes,
        sha256=sha256,
        warming=sum(member.warming for member in receipts),
    )
    store.commit_receipt(packed)
    return packed


def _members(store: FeatureStore, shard: Shard) -> list[Receipt]:
    """Return the receipts of the units that a shard joins; `JobError` when one is gone."""
    members = [store.receipt(unit) for unit in shard.units]
    receipts = [receipt for receipt in members if receipt is not None]
    if len(receipts) < len(members):
        raise JobError(f"receipts of {store.out} vanished; run no other job on it at the same time")
    return receipts


def _common_recipe(store: FeatureStore, receipts: Iterable[Receipt]) -> str:
    """Return the hash of the recipe of all receipts; those of version 1 name none."""
    recipes = {receipt.recipe for receipt in receipts} - {""}
    if len(recipes) > 1:
        raise JobError(
            f"{store.out} holds units of recipes {' and '.join(sorted(recipes))}, which must not "
            "be joined; beam validate names them"
        )
    return recipes.pop() if recipes else ""


def _join(
    store: FeatureStore, rows: Iterator[pa.RecordBatch], target: str, row_group_bytes: int
) -> tuple[int, str]:
    """Write the rows of some parts as one, row group by row group; return its size and sha256."""
    if target.split("/")[0] in IMAGE_TABLES:
        row_group_bytes = min(row_group_bytes, IMAGE_GROUP_BYTES)
    with ExitStack() as stack:
        file = stack.enter_context(files.create(files.join(store.out, *target.split("/"))))
        sink = HashedFile(file)
        writer: pq.ParquetWriter | None = None
        for batches in row_groups(rows, row_group_bytes):
            table = pa.Table.from_batches(batches)
            if writer is None:
                settings = parquet_settings(table.schema)
                writer = stack.enter_context(pq.ParquetWriter(sink, table.schema, **settings))
            writer.write_table(table, row_group_size=max(1, table.num_rows))
        if writer is not None:
            writer.close()
        return sink.size, sink.sha256


def _batches(
    store: FeatureStore, receipts: Iterable[Receipt], table: TableName
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of some units' parts, a few at a time; `JobError` for a damaged part.

    A part is compared with its receipt's sha256 before: a shard gets a hash of its own, with which
    damage would pass as good.
    """
    columns: pa.Schema | None = None
    for receipt in receipts:
        path, expected = receipt.parts[table], receipt.rows[table]
        uri = files.join(store.out, *path.split("/"))
        try:
            if receipt.has_checksums and sha256_of(uri) != receipt.sha256[table]:
                raise OSError("its content was changed since it was written")
            with (
                files.open_read(uri) as file,
                pq.ParquetFile(file, page_checksum_verification=True) as part,
            ):
                columns = columns or part.schema_arrow
                if part.schema_arrow != columns:
                    raise OSError("its columns are not those of the others")
                if part.metadata.num_rows != expected:
                    raise OSError(f"it has {part.metadata.num_rows} rows")
                if not expected:  # its columns, at least
                    yield pa.RecordBatch.from_pylist([], schema=part.schema_arrow)
                yield from part.iter_batches(_ROWS_AT_ONCE, use_threads=False)
        except (OSError, BeamIOError, pa.ArrowException) as error:
            raise JobError(_damaged(store, path, str(error).split("\n", 1)[0])) from error


def _damaged(store: FeatureStore, path: str, why: str) -> str:
    return (
        f"{files.join(store.out, *path.split('/'))} is not what its receipt says ({why}); "
        "beam validate lists what is damaged; nothing was changed"
    )


def row_groups(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[list[pa.RecordBatch]]:
    """Gather batches into groups of about `most` bytes that end where a clip ends.

    Only a clip of more rows than a batch may be split between groups. Nothing is copied.
    """
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size < most:
            continue
        end = _last_whole_clip(batch)
        held[-1], rest = batch.slice(0, end), batch.slice(end)
        yield held
        held, size = ([rest], rest.nbytes) if len(rest) else ([], 0)
    if held:
        yield held


def _last_whole_clip(batch: pa.RecordBatch) -> int:
    """Return the number of rows before the batch's last clip; all rows when it has only one."""
    keys = batch.column("clip_key")
    others = pc.not_equal(keys, keys[-1]).to_numpy(zero_copy_only=False).nonzero()[0]
    return int(others[-1]) + 1 if len(others) else len(batch)


def _sum_seconds(seconds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for stages in seconds:
        for stage, spent in stages.items():
            total[stage] += spent
    return dict(total)


def finish(store: FeatureStore, *, keep_parts: bool) -> None:
    """Point the manifest to the shards, then remove the parts that they replace."""
    state = store.state()
    manifest = store.read_manifest()
    if manifest is None:
        raise JobError(f"{store.out} lost its manifest; run no other job on it at the same time")
    rows = {name: paths for name, paths in store.parts(state).items() if paths}
    tables = {**manifest["tables"], **rows}
    store.replace_manifest({**manifest, "tables": tables}, state, keep_parts=keep_parts)
