"""Stores that are filled unit by unit: parts, receipts, and the manifest last.

    OUT/<table>/unit-<hash>.parquet  one part per table and unit
    OUT/receipts/unit-<hash>.json    the commit: what the unit did and what failed, in one file
    OUT/manifest.json                written last; readers go by it

A unit is done when its receipt is in the store. Parts without a receipt are leftovers of a killed
job: the next run writes them again or removes them. So a job may die at any moment and lose at most
the units that it was working on. A receipt holds the sha256 of its unit's parts, the manifest that
of every other file.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from pipelines.store import files
from pipelines.store.integrity import find_damaged_units, sha256_of
from pipelines.store.parquet import parquet_bytes
from pipelines.store.receipts import Receipt, StoreState, receipts_digest
from schemas import SCHEMA_VERSION, Failure, JobError, TableName
from schemas.checked_json import encode_record
from schemas.manifest import MANIFEST, decode_manifest, subset_id

_log = logging.getLogger(__name__)
_READERS = 64
"""Threads that read receipts in a bucket."""
_READ_AHEAD = 4096
"""Receipts that are asked for at a time."""
_BESIDE = ("coverage.json", "coverage.md")
"""Files beside the manifest that it vouches for."""


class UnitStore:
    """One folder of tables that grows by whole units."""

    tables: tuple[TableName, ...]
    """What the store may hold."""
    identity_name: str
    """The file that says what the store holds, written before anything else."""

    def __init__(self, out: str, recipe_hash: str = "") -> None:
        """Open the store at a path or URI; given a recipe's hash, refuse receipts of another."""
        self.out = out
        self.recipe_hash = recipe_hash

    def receipt(self, unit: str) -> Receipt | None:
        """Read the receipt of a unit; None when it is not committed."""
        path = files.join(self.out, "receipts", f"{unit}.json")
        return self.read_receipt(path) if files.exists(path) else None

    def receipt_paths(self) -> list[str]:
        """Return the paths of all receipts, in order."""
        paths = files.list_folder(files.join(self.out, "receipts"))
        return [path for path in paths if path.endswith(".json")]

    def receipts(self) -> Iterator[Receipt]:
        """Read all receipts, also those that another replaces, in the order of their names.

        Those in a bucket, where each takes a round trip, are read by many threads.
        """
        paths = self.receipt_paths()
        if files.is_local(self.out):
            yield from map(self.read_receipt, paths)
            return
        with ThreadPoolExecutor(_READERS, thread_name_prefix="receipts") as pool:
            for start in range(0, len(paths), _READ_AHEAD):  # so that an error ends it soon
                yield from pool.map(self.read_receipt, paths[start : start + _READ_AHEAD])

    def read_receipt(self, path: str) -> Receipt:
        """Read a receipt; `JobError` for one that is damaged, misplaced or of another recipe."""
        try:
            receipt = Receipt.decode(files.read(path))
            name = path.rsplit("/", 1)[1].removesuffix(".json")
            if receipt.unit != name:
                raise ValueError(f"it is that of {receipt.unit}: a copy under another name")
            if strange := receipt.parts.keys() - set(self.tables):
                raise ValueError(f"it names a table {strange.pop()!r}, which the store has not")
        except ValueError as error:
            raise JobError(
                f"{path} is not readable as a receipt ({error}); remove it and run the same job "
                "again, which does its clips anew"
            ) from None
        if receipt.recipe and self.recipe_hash not in ("", receipt.recipe):
            raise JobError(
                f"{path} is of recipe {receipt.recipe}, the store of recipe {self.recipe_hash}: "
                "shards of two recipes never mix; remove the receipt and run the same job again, "
                "which does its clips anew"
            )
        return receipt

    def state(self) -> StoreState:
        """Return the state of every clip."""
        return StoreState.of(self.receipts())

    def forget_damaged(self, *, verify: bool = False) -> None:
        """Remove the receipts of units whose parts are damaged, so that they are done again.

        Sizes are always compared; `verify` also compares the sha256 of every part.
        """
        damaged = find_damaged_units(self.out, self.receipts(), verify=verify)
        for problem in damaged.values():
            _log.warning("%s; the clips of its unit are done again", problem)
        self.delete_receipts(damaged)

    def commit(
        self,
        unit: str,
        tables: Mapping[TableName, pa.Table],
        done: Iterable[str],
        failed: Iterable[Failure],
        seconds: Mapping[str, float],
        provenance: Mapping[str, str],
        *,
        warming: int = 0,
    ) -> Receipt:
        """Write a unit's parts, then its receipt; nothing counts before the receipt is written.

        The time that the parts take is added to `seconds` as stage `write`.
        """
        started = time.perf_counter()
        parts = {str(name): f"{name}/{unit}.parquet" for name in tables}
        sizes: dict[str, int] = {}
        sha256: dict[str, str] = {}
        for name in tables:
            data = parquet_bytes(tables[name])
            sizes[name], sha256[name] = len(data), hashlib.sha256(data).hexdigest()
            files.write(files.join(self.out, *parts[name].split("/")), data)
        spent = dict(seconds)
        if parts:
            spent["write"] = spent.get("write", 0.0) + time.perf_counter() - started
        receipt = Receipt(
            unit=unit, done=tuple(done), failed=tuple(failed), parts=parts,
            rows={str(name): table.num_rows for name, table in tables.items()},
            size=sum(sizes.values()), seconds=spent, provenance=dict(provenance),
            recipe=self.recipe_hash, sizes=sizes, sha256=sha256, warming=warming,
        )  # fmt: skip
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

    def read_manifest(self) -> dict[str, Any] | None:
        """Read `manifest.json`; None when there is none, `UsageError` when it is damaged."""
        path = files.join(self.out, MANIFEST)
        return decode_manifest(files.read(path), path, media=True) if files.exists(path) else None

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
        checksums: dict[str, str] = {}
        for name, table in extra_tables.items():
            data = parquet_bytes(table)
            digest = hashlib.sha256(data).hexdigest()
            path = f"{name}/{name}-{digest[:16]}.parquet"
            uri = files.join(self.out, *path.split("/"))
            if not (files.exists(uri) and files.read(uri) == data):
                files.write(uri, data)
            paths[name] = [path]
            checksums[path] = digest
        for beside in (self.identity_name, *_BESIDE):
            if files.exists(files.join(self.out, beside)):
                checksums[beside] = sha256_of(files.join(self.out, beside))
        manifest = {
            "schema_version": SCHEMA_VERSION,
            **facts,
            "tables": paths,
            "subset_id": subset_id(state.done if done is None else done),
            "sha256": checksums,
        }
        self.replace_manifest(manifest, state)
        return manifest

    def replace_manifest(
        self, manifest: Mapping[str, Any], state: StoreState, *, keep_parts: bool = False
    ) -> None:
        """Replace the manifest, then remove replaced receipts and parts that it does not name.

        `keep_parts` leaves the files for readers that still go by the manifest before.
        """
        whole = {**manifest, "receipts_sha256": receipts_digest(state.receipts)}
        files.write(files.join(self.out, MANIFEST), encode_record(whole))
        self.delete_receipts(state.replaced)
        if not keep_parts:
            self._delete_strays({path for table in manifest["tables"].values() for path in table})

    def _delete_strays(self, named: set[str]) -> None:
        """Remove parts that are not among `named`, and temporary files of killed jobs."""
        for name in self.tables:
            paths = files.list_folder(files.join(self.out, name))
            strays = [path for path in paths if f"{name}/{path.rsplit('/', 1)[1]}" not in named]
            files.delete(strays)
        for folder in (self.out, files.join(self.out, "receipts")):
            for path in files.list_folder(folder):
                if path.rsplit("/", 1)[1].startswith(files.TEMPORARY):
                    files.delete([path])
