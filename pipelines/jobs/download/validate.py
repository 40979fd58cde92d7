"""The checks of `beam validate` on a media store."""

import hashlib
from collections.abc import Iterator
from typing import Any

from pipelines.store.feature_store import FeatureStore
from pipelines.store.media_store import SUFFIX
from schemas import StoreManifest, TableName, read_parquet, table_schema
from schemas.manifest import subset_id

_TABLES: tuple[TableName, ...] = ("media", "failures")
_LATER = ("fetched_bytes", "phash")
"""Columns that stores of before have not."""


def find_media_problems(manifest: StoreManifest) -> Iterator[str]:
    """Read every file of a media store back; yield one sentence for each problem."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for name in _TABLES:
        records: dict[str, dict[str, Any]] = {}
        for path in manifest.paths(name):
            try:
                table = read_parquet(path)
            except OSError as error:
                yield f"{path.name}: cannot be read: {error}"
                continue
            if _of_first(table.schema.names) != _of_first(table_schema(name).names):
                yield f"{path.name}: its columns are not those of table {name}"
                continue
            records |= {row["clip_key"]: row for row in table.to_pylist()}
        rows[name] = records
    yield from _check_files(manifest, rows["media"])
    yield from _check_counts(manifest, rows["failures"])


def _of_first(columns: list[str]) -> list[str]:
    return [column for column in columns if column not in _LATER]


def _check_files(manifest: StoreManifest, records: dict[str, dict[str, Any]]) -> Iterator[str]:
    needless: frozenset[str] = frozenset()
    if manifest.data.get("features"):
        needless = FeatureStore(manifest.data["features"]).state().done
    there = {path.stem: path for path in sorted(manifest.root.glob(f"*{SUFFIX}"))}
    for key, record in records.items():
        path = there.get(key)
        if path is None:
            if key not in needless:
                yield f"{key}: its file is gone; the next download fetches it again"
            continue
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != record["sha256"]:
                yield f"{path.name}: is not the file that was fetched (sha256); remove it"
    for key in sorted(there.keys() - records.keys()):
        yield f"{key}{SUFFIX}: has no record; a download did not put it there"


def _check_counts(manifest: StoreManifest, failed: dict[str, dict[str, Any]]) -> Iterator[str]:
    counts = manifest.data["counts"]
    if counts["clips_in"] != counts["clips_done"] + counts["clips_failed"]:
        yield f"counts do not add up: {counts}"
    if counts["clips_failed"] != len(failed):
        yield f"{counts['clips_failed']} clips failed, table failures has {len(failed)}"
    kept = manifest.data.get("features") is not None
    there = [path.stem for path in manifest.root.glob(f"*{SUFFIX}")]
    if not kept and subset_id(there) != manifest.subset_id:
        yield "the subset id is not that of the files; run the download again"
