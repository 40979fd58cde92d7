"""`manifest.json`, the door to a feature store: readers go by it, never by a listing of files."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from schemas.checked_json import Record, decode_record, parse_json
from schemas.failure import UsageError
from schemas.messages import printable
from schemas.recipe import Recipe
from schemas.tables import SCHEMA_VERSION, TableName

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StoreManifest:
    """What a finished job left under OUT."""

    root: Path
    """OUT."""
    data: dict[str, Any]
    """The whole of `manifest.json`."""

    def paths(self, table: TableName) -> list[Path]:
        """Return the Parquet files of one table, in order; empty when there are no such rows."""
        return [self.root / name for name in self.data["tables"].get(table, [])]

    @property
    def tables(self) -> dict[str, list[str]]:
        """Table name to the paths of its parts under OUT, in order."""
        return dict(self.data["tables"])

    @property
    def checksums(self) -> dict[str, str]:
        """Path under OUT to sha256, for every file but the parts that receipts name.

        Empty in a store of version 1.
        """
        return dict(self.data.get("sha256", {}))

    @property
    def receipts_digest(self) -> str | None:
        """Hash over the receipts that the manifest was written from; None in version 1."""
        digest = self.data.get("receipts_sha256")
        return None if digest is None else str(digest)

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
            data = parse_json((self.root / "coverage.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def subset_id(self) -> str:
        """Hash of the clip keys present; two scores compare only when it is equal."""
        return str(self.data["subset_id"])


def read_store_manifest(root: Path, *, media: bool = False) -> StoreManifest:
    """Open the store under `root`; `UsageError` when there is none or its manifest is damaged.

    `root` may also be the path of the manifest itself. A folder of media has a manifest too, with
    other entries; it is opened where `media` is true.
    """
    path = Path(root)
    if path.name != MANIFEST:
        path /= MANIFEST
    if not path.is_file():
        raise UsageError(
            f"{path.parent} holds no manifest.json, so no finished feature store; "
            "run `beam run features --out` on it first (a killed job goes on where it stopped)"
        )
    return StoreManifest(path.parent, decode_manifest(path.read_bytes(), str(path), media=media))


def decode_manifest(data: bytes, path: str, *, media: bool = False) -> dict[str, Any]:
    """Read the content of a manifest; `UsageError`, which names `path`, when it is damaged."""
    try:
        record = decode_record(data)
        if record.content.get("kind") == "media" and not media:
            folder = path.removesuffix(f"/{MANIFEST}")
            raise UsageError(f"{folder} holds media; give the --out of a features job on it")
        check_schema_version(record)
        _check_entries(record)
    except ValueError as error:
        job = "download" if media else "features"
        raise UsageError(
            f"{path} is not readable as a store's manifest ({printable(str(error))}); run the same "
            f"beam run {job} command again"
        ) from None
    return record.content


def check_schema_version(record: Record) -> None:
    """Raise ValueError unless the record is of the version that this program reads."""
    version = record.content.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise ValueError(
            f"it has schema version {version!r}, this program reads {SCHEMA_VERSION}; use the "
            "version of earsight that wrote it"
        )


def _check_entries(record: Record) -> None:
    """Raise ValueError for an entry that is missing, of another type or contradicts another."""
    for name in ("dataset", "subset_id"):
        record.get(name, str)
    tables = Record(record.get("tables", dict))
    paths = [path for table in tables.content for path in tables.items(table, str)]
    for path in paths:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or not path:
            raise ValueError(f"it names {path!r}, which is not a path under the store")
    if len(set(paths)) < len(paths):
        (twice, _), *_ = Counter(paths).most_common(1)
        raise ValueError(f"it names {twice!r} twice")
    record.mapping("sha256", str, {})
    if "receipts_sha256" in record.content and not record.checked:
        raise ValueError("it has checksums of the files and none of its own, so it was edited")
    if "counts" in record.content:
        counts = Record(record.get("counts", dict))
        for name in ("clips_in", "clips_done", "clips_failed"):
            counts.get(name, int)
        counts.mapping("rows", int, {})
    if record.content.get("kind") == "media":
        record.get("counts", dict)
        if record.content.get("features") is not None:
            record.get("features", str)
    else:
        record.items("vocabulary", str)
        Recipe.from_json(record.get("recipe", dict))


def subset_id(keys: Iterable[str]) -> str:
    """Return a hash of the clip keys present, whatever their order."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]
