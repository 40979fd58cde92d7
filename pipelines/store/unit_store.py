"""Stores that are filled unit by unit: parts, receipts, and the manifest last.

    OUT/<table>/unit-<hash>.parquet  one part per table and unit
    OUT/receipts/unit-<hash>.json    the commit: what the unit did and what failed, in one file
    OUT/manifest.json                written last; readers go by it

A unit is done when its receipt is in the store. Parts without a receipt are leftovers of a killed
job: the next run writes them again or removes them. So a job may die at any moment and lose at most
the units that it was working on.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from pipelines.store import files
from pipelines.store.parquet import parquet_bytes
from pipelines.store.receipts import Receipt, StoreState, subset_id
from schemas import SCHEMA_VERSION, Failure, JobError, TableName


class UnitStore:
    """One folder of tables that grows by whole units."""

    tables: tuple[TableName, ...]
    """What the store may hold."""

    def __init__(self, out: str) -> None:
        self.out = out

    def receipt(self, unit: str) -> Receipt | None:
        """Read the receipt of a unit; None when it is not committed."""
        path = files.join(self.out, "receipts", f"{unit}.json")
        return _read_receipt(path) if files.exists(path) else None

    def receipts(self) -> Iterator[Receipt]:
        """Read all receipts, also those that another replaces, in the order of their names."""
        for path in files.list_folder(files.join(self.out, "receipts")):
            if path.endswith(".json"):
                yield _read_receipt(path)

    def state(self) -> StoreState:
        """Return the state of every clip."""
        return StoreState.of(self.receipts())

    def commit(
        self,
        unit: str,
        tables: Mapping[TableName, pa.Table],
        done: Iterable[str],
        failed: Iterable[Failure],
        seconds: Mapping[str, float],
        provenance: Mapping[str, str],
    ) -> Receipt:
        """Write a unit's parts, then its receipt; nothing counts before the receipt is written.

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
        self.commit_receipt(receipt)
        return receipt

    def commit_receipt(self, receipt: Receipt) -> None:
        """Write a receipt: its unit is committed from here on."""
        files.write(files.join(self.out, "receipts", f"{receipt.unit}.json"), receipt.encode())

    def delete_receipts(self, units: Iterable[str]) -> None:
        """Remove the receipts of some units."""
        folder = files.join(self.out, "receipts")
        files.delete([files.join(folder, f"{unit}.json") for unit in sorted(units)])

    def parts(self, state: StoreState) -> dict[str, list[str]]:
        """Return the paths under OUT of every table's parts, in the order of the receipts."""
        paths: dict[str, list[str]] = {name: [] for name in self.tables}
        for receipt in state.receipts:
            for name, path in receipt.parts.items():
                paths[name].append(path)
        return paths

    def write_manifest(
        self,
        state: StoreState,
        extra_tables: Mapping[TableName, pa.Table],
        facts: Mapping[str, Any],
        *,
        done: Iterable[str] | None = None,
    ) -> dict[str, Any]:
        """Write the last files and `manifest.json`, then remove what the manifest does not name.

        `done` are the keys for the subset id where they are not those of `state`.
        """
        paths = self.parts(state)
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
            "subset_id": subset_id(state.done if done is None else done),
        }
        self.replace_manifest(manifest, state)
        return manifest

    def replace_manifest(
        self, manifest: Mapping[str, Any], state: StoreState, *, keep_parts: bool = False
    ) -> None:
        """Replace the manifest, then remove replaced receipts and parts that it does not name.

        `keep_parts` leaves the files for readers that still go by the manifest before.
        """
        text = json.dumps(manifest, indent=1, sort_keys=True).encode()
        files.write(files.join(self.out, "manifest.json"), text)
        self.delete_receipts(state.replaced)
        if not keep_parts:
            self._delete_strays({path for table in manifest["tables"].values() for path in table})

    def _delete_strays(self, named: set[str]) -> None:
        """Remove parts that are not among `named`, and temporary files of killed jobs."""
        for name in self.tables:
            paths = files.list_folder(files.join(self.out, name))
            files.delete(
                [path for path in paths if f"{name}/{path.rsplit('/', 1)[1]}" not in named]
            )
        for folder in (self.out, files.join(self.out, "receipts")):
            paths = files.list_folder(folder)
            files.delete([path for path in paths if f"/{files.TEMPORARY}" in path])


def _read_receipt(path: str) -> Receipt:
    """Read a receipt; `JobError` for one that was damaged since it was written."""
    try:
        return Receipt.decode(files.read(path))
    except (ValueError, TypeError, KeyError) as error:
        raise JobError(
            f"{path} is not readable as a receipt ({error}); remove it and run the features job "
            "again, which does its clips anew"
        ) from None
