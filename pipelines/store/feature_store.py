"""The feature store OUT: parts committed with their failures, receipts, and the manifest last.

    OUT/store.json                   data set and recipe, written before anything else
    OUT/snippets/unit-<hash>.parquet one part a table and unit; likewise clips, segments, ...
    OUT/receipts/unit-<hash>.json    the commit: what the unit did and what failed, in one file
    OUT/snippets/pack-<n>-<hash>.parquet, OUT/receipts/pack-<n>-<hash>.json
                                     many units made one (`pipelines.jobs.pack.pack`)
    OUT/manifest.json                written last; readers go by it

A unit is done when its receipt stands. Parts without a receipt are leftovers of a killed job: the
next run writes them again or removes them. So a job may die at any moment and lose at most the
units that it was working on. The receipt of a pack names the units that it takes the place of: from
the moment it stands their receipts count no more.
"""

import hashlib
import io
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.store import files
from schemas import (
    SCHEMA_VERSION,
    TABLES,
    Clip,
    Failure,
    JobError,
    Reason,
    Recipe,
    TableName,
    UsageError,
    table_schema,
)

_ROWS_PER_GROUP = 4096
_OR = " | "


@dataclass(frozen=True)
class Receipt:
    """What one unit did; standing in the store, it is the proof that the unit is committed."""

    unit: str
    done: tuple[str, ...]
    """Keys of the clips that have rows."""
    failed: tuple[Failure, ...]
    parts: Mapping[str, str]
    """Table name to path under OUT."""
    rows: Mapping[str, int]
    size: int
    """Bytes of all parts."""
    seconds: Mapping[str, float]
    """Working time by stage."""
    provenance: Mapping[str, str]
    """Tools and weights that the worker had."""
    replaces: tuple[str, ...] = ()
    """Units whose rows and failures are in this one; their own receipts no longer count."""

    def encode(self) -> bytes:
        """The receipt as JSON."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Receipt":
        """The receipt back from `encode`."""
        raw = json.loads(data)
        failed = tuple(Failure(**{**f, "reason": Reason(f["reason"])}) for f in raw.pop("failed"))
        names = {name: tuple(raw.get(name, ())) for name in ("done", "replaces")}
        return cls(**{**raw, **names, "failed": failed})


@dataclass(frozen=True)
class Standing:
    """Where every clip of the store stands, added up from all receipts."""

    receipts: tuple[Receipt, ...]
    replaced: frozenset[str] = frozenset()
    """Units whose receipts are left over: another one takes their place."""

    @classmethod
    def of(cls, receipts: Iterable[Receipt]) -> "Standing":
        """The receipts that count, in the order given."""
        found = tuple(receipts)
        replaced = frozenset(unit for receipt in found for unit in receipt.replaces)
        return cls(tuple(one for one in found if one.unit not in replaced), replaced)

    @cached_property
    def done(self) -> frozenset[str]:
        """Keys of clips with rows."""
        return frozenset(key for receipt in self.receipts for key in receipt.done)

    @cached_property
    def failed(self) -> dict[str, Failure]:
        """The latest failure of each clip that has no rows."""
        latest: dict[str, Failure] = {}
        for receipt in self.receipts:
            for failure in receipt.failed:
                old = latest.get(failure.clip_key)
                if failure.clip_key not in self.done and (
                    old is None or old.attempts < failure.attempts
                ):
                    latest[failure.clip_key] = failure
        return latest


class FeatureStore:
    """One folder of features, of one data set and one recipe."""

    tables: tuple[TableName, ...] = TABLES
    """What the store may hold."""

    def __init__(self, out: str) -> None:
        self.out = out

    def open(self, dataset: str, recipe: Recipe) -> None:
        """Make the store, or check that it is of this data set and recipe (else `UsageError`)."""
        identity = self.identity()
        if files.exists(files.join(self.out, "media.json")):
            raise UsageError(f"{self.out} holds media; give another --out for the features")
        if identity is None:
            data = {
                "schema_version": SCHEMA_VERSION, "dataset": dataset, "recipe": recipe.to_json()
            }  # fmt: skip
            files.write(files.join(self.out, "store.json"), json.dumps(data, indent=1).encode())
            return
        if identity["dataset"] != dataset:
            raise UsageError(
                f"{self.out} holds features of data set {identity['dataset']!r}, this job makes "
                f"{dataset!r}; give another --out"
            )
        stored = Recipe.from_json(identity["recipe"])
        if stored != recipe:
            changes = [
                f"{name} {value!r} (now {getattr(recipe, name)!r})"
                for name, value in asdict(stored).items()
                if value != getattr(recipe, name)
            ]
            raise UsageError(
                f"{self.out} holds features of recipe {stored.name} {stored.hash} with "
                f"{', '.join(changes)}; shards of two recipes never mix: ask for the stored "
                "settings or give another --out"
            )

    def identity(self) -> dict[str, Any] | None:
        """What `store.json` says, or None where there is no store yet."""
        path = files.join(self.out, "store.json")
        if not files.exists(path):
            return None
        try:
            data: dict[str, Any] = json.loads(files.read(path))
        except ValueError as error:
            raise JobError(f"{path} is not readable JSON ({error}); give another --out") from None
        return data

    def receipt(self, unit: str) -> Receipt | None:
        """The receipt of a unit, or None when it is not committed."""
        path = files.join(self.out, "receipts", f"{unit}.json")
        return _read_receipt(path) if files.exists(path) else None

    def standing(self) -> Standing:
        """Where every clip stands."""
        return Standing.of(self.receipts())

    def receipts(self) -> Iterator[Receipt]:
        """All receipts, also those that another takes the place of, in the order of their names."""
        for path in files.list_folder(files.join(self.out, "receipts")):
            if path.endswith(".json"):
                yield _read_receipt(path)

    def commit(
        self,
        unit: str,
        tables: Mapping[TableName, pa.Table],
        done: Iterable[str],
        failed: Iterable[Failure],
        seconds: Mapping[str, float],
        provenance: Mapping[str, str],
    ) -> Receipt:
        """Write a unit's parts, then its receipt; nothing counts until the receipt stands.

        The time that the parts take is added to `seconds` as stage `write`.
        """
        started = time.perf_counter()
        parts: dict[str, str] = {}
        size = 0
        for name, table in tables.items():
            parts[name] = f"{name}/{unit}.parquet"
            data = parquet_bytes(table)
            size += len(data)
            files.write(files.join(self.out, *parts[name].split("/")), data)
        rows = {str(name): table.num_rows for name, table in tables.items()}
        spent = dict(seconds)
        if parts:
            spent["write"] = spent.get("write", 0.0) + time.perf_counter() - started
        receipt = Receipt(
            unit, tuple(done), tuple(failed), parts, rows, size, spent, dict(provenance)
        )
        self.sign(receipt)
        return receipt

    def sign(self, receipt: Receipt) -> None:
        """Put a receipt into the store: its unit is committed from here on."""
        files.write(files.join(self.out, "receipts", f"{receipt.unit}.json"), receipt.encode())

    def relabel(self, standing: Standing, clips: Mapping[str, Clip]) -> None:
        """Bring split and labels of the stored clips up to the manifest's, where they changed."""
        for path in (receipt.parts["clips"] for receipt in standing.receipts if receipt.done):
            place = files.join(self.out, *path.split("/"))
            table = pq.read_table(io.BytesIO(files.read(place)))
            rows = table.select(["clip_key", "split", "labels"]).to_pylist()
            wanted = [
                (clip.split, list(clip.labels)) if clip else (row["split"], row["labels"])
                for row in rows
                for clip in [clips.get(row["clip_key"])]
            ]
            if wanted == [(row["split"], row["labels"]) for row in rows]:
                continue
            for name, values in zip(("split", "labels"), zip(*wanted, strict=True), strict=True):
                field = table.schema.field(name)
                column = pa.array(values, field.type)
                table = table.set_column(table.schema.get_field_index(name), field, column)
            files.write(place, parquet_bytes(table))

    def write_manifest(
        self,
        standing: Standing,
        extra_tables: Mapping[TableName, pa.Table],
        facts: Mapping[str, Any],
        *,
        done: Iterable[str] | None = None,
    ) -> dict[str, Any]:
        """Write the last files and `manifest.json`, then remove what no reader is led to.

        `done` are the keys for the subset id where they are not the standing's.
        """
        paths = self.parts(standing)
        for name, table in extra_tables.items():
            data = parquet_bytes(table)
            path = f"{name}/{name}-{hashlib.sha256(data).hexdigest()[:16]}.parquet"
            if not files.exists(files.join(self.out, *path.split("/"))):
                files.write(files.join(self.out, *path.split("/")), data)
            paths[name] = [path]
        manifest = {
            "schema_version": SCHEMA_VERSION,
            **facts,
            "tables": paths,
            "subset_id": subset_id(standing.done if done is None else done),
        }
        self.swap(manifest, standing)
        return manifest

    def parts(self, standing: Standing) -> dict[str, list[str]]:
        """Paths under OUT of every table's parts, in the order of the receipts."""
        paths: dict[str, list[str]] = {name: [] for name in self.tables}
        for receipt in standing.receipts:
            for name, path in receipt.parts.items():
                paths[name].append(path)
        return paths

    def swap(
        self, manifest: Mapping[str, Any], standing: Standing, *, keep_parts: bool = False
    ) -> None:
        """Put a manifest in the place of the last one, then remove what no reader is led to.

        `keep_parts` leaves the files to readers that still go by the last one.
        """
        text = json.dumps(manifest, indent=1, sort_keys=True).encode()
        files.write(files.join(self.out, "manifest.json"), text)
        self.withdraw(standing.replaced)
        if not keep_parts:
            self._sweep({path for table in manifest["tables"].values() for path in table})

    def withdraw(self, units: Iterable[str]) -> None:
        """Remove the receipts of some units."""
        folder = files.join(self.out, "receipts")
        files.delete([files.join(folder, f"{unit}.json") for unit in sorted(units)])

    def _sweep(self, wanted: set[str]) -> None:
        for name in self.tables:
            found = files.list_folder(files.join(self.out, name))
            stale = [path for path in found if f"{name}/{path.rsplit('/', 1)[1]}" not in wanted]
            files.delete(stale)
        for folder in (self.out, files.join(self.out, "receipts")):
            names = files.list_folder(folder)
            files.delete([path for path in names if f"/{files.TEMPORARY}" in path])


def _read_receipt(path: str) -> Receipt:
    """A receipt that stands; `JobError` for one that was damaged since."""
    try:
        return Receipt.decode(files.read(path))
    except (ValueError, TypeError, KeyError) as error:
        raise JobError(
            f"{path} is not readable as a receipt ({error}); remove it and run the features job "
            "again, which does its clips anew"
        ) from None


def merge_provenance(receipts: Iterable[Receipt]) -> dict[str, str]:
    """Facts of the workers' machines; where they differ, every value in one string."""
    seen: dict[str, set[str]] = defaultdict(set)
    for receipt in receipts:
        for name, value in receipt.provenance.items():
            seen[name].update(value.split(_OR))
    return {name: _OR.join(sorted(values)) for name, values in seen.items()}


def subset_id(keys: Iterable[str]) -> str:
    """Hash of the clip keys present, whatever their order."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]


def failures_table(failures: Iterable[Failure]) -> pa.Table:
    """Table `failures`, sorted by clip."""
    rows = [
        {**asdict(failure), "reason": str(failure.reason), "retryable": failure.retryable}
        for failure in sorted(failures, key=lambda failure: failure.clip_key)
    ]
    return pa.Table.from_pylist(rows, schema=table_schema("failures"))


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet: zstd, dictionaries for text only, groups of about 4,000 rows."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=_ROWS_PER_GROUP, **parquet_settings(table.schema))
    return buffer.getvalue()


def parquet_settings(schema: pa.Schema) -> dict[str, Any]:
    """How every file of a store is written: zstd, dictionaries for text only."""
    text = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_list(field.type)
    ]
    return {"compression": "zstd", "compression_level": 1, "use_dictionary": text}
