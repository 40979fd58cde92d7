"""`manifest.json`, the door to a feature store: readers go by it, never by a listing of files."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from schemas.failure import UsageError
from schemas.tables import SCHEMA_VERSION, TableName

NEEDED = ("dataset", "recipe", "tables", "subset_id", "vocabulary")
"""Entries without which a store cannot be read."""


@dataclass(frozen=True)
class StoreManifest:
    """What a finished job left under OUT."""

    root: Path
    """OUT."""
    data: dict[str, Any]
    """The whole of `manifest.json`."""

    def paths(self, table: TableName) -> list[Path]:
        """Parquet files of one table, in order; empty when the store has no such rows."""
        return [self.root / name for name in self.data["tables"].get(table, [])]

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.data["dataset"])

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Class names in order."""
        return tuple(self.data["vocabulary"])

    @cached_property
    def coverage(self) -> dict[str, Any]:
        """What `coverage.json` says of splits and classes; empty when there is none to read."""
        try:
            data = json.loads((self.root / "coverage.json").read_text())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def subset_id(self) -> str:
        """Hash of the clip keys present; two scores compare only when it is equal."""
        return str(self.data["subset_id"])


def read_store_manifest(root: Path, *, media: bool = False) -> StoreManifest:
    """Open the store under `root`; `UsageError` when there is none or it is of another version.

    A folder of media has a manifest too, with other entries; it is opened where `media` is true.
    """
    path = Path(root) / "manifest.json"
    if not path.is_file():
        raise UsageError(
            f"{root} holds no manifest.json, so no finished feature store; "
            "run `beam run features --out` on it first (a killed job goes on where it stopped)"
        )
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(
            f"{path} is not readable JSON ({error}); run the features job again"
        ) from None
    if not isinstance(data, dict):
        raise UsageError(f"{path} is no feature store's manifest; run the features job again")
    if data.get("schema_version") != SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {data.get('schema_version')!r}, this program reads "
            f"{SCHEMA_VERSION}; make the features again or use the version that wrote them"
        )
    if data.get("kind") == "media":
        if media:
            return StoreManifest(Path(root), data)
        raise UsageError(f"{root} holds media; give the --out of a features job on it")
    lacking = [name for name in NEEDED if name not in data]
    if lacking:
        raise UsageError(f"{path} has no {lacking[0]!r}; run the features job again")
    return StoreManifest(Path(root), data)
