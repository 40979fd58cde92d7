"""Whether a store holds what its manifest says: an edited manifest must not pass for a whole store.

The features job counts rows and hashes the clip keys; a manifest that was changed by hand, or that
lies beside other parts, disagrees with one of them.
"""

from collections.abc import Sequence
from typing import Any

from models.data.parquet import open_part
from schemas import StoreManifest, TableName, UsageError
from schemas.manifest import subset_id

ADVICE = "run `beam validate`, then the features job again"


def refuse_edited(manifest: StoreManifest, keys: Sequence[str]) -> None:
    """Raise `UsageError` when clips or snippets are not those of the finished job."""
    tables: tuple[TableName, ...] = ("clips", "snippets")
    for table in tables:
        refuse_miscounted(manifest, table)
    counts = manifest.data.get("counts", {})
    if counts.get("clips_done", len(keys)) != len(keys):
        raise UsageError(
            f"{manifest.root / 'manifest.json'} counts {counts['clips_done']:,} clips as done, and "
            f"its tables hold {len(keys):,}; {ADVICE}"
        )
    there = subset_id(keys)
    if there != manifest.subset_id:
        raise UsageError(
            f"{manifest.root / 'manifest.json'} names subset {manifest.subset_id}, and its tables "
            f"hold the clips of subset {there}; {ADVICE}"
        )


def refuse_miscounted(manifest: StoreManifest, table: TableName) -> None:
    """Raise `UsageError` when a table has not as many rows as the job counted.

    A manifest without a count for the table is taken at its word.
    """
    counts: Any = manifest.data.get("counts")
    rows = counts.get("rows") if isinstance(counts, dict) else None
    if not isinstance(rows, dict) or table not in rows:
        return
    there = sum(open_part(path).metadata.num_rows for path in manifest.paths(table))
    if there != rows[table]:
        raise UsageError(
            f"the parts of table {table} that {manifest.root / 'manifest.json'} lists have "
            f"{there:,} rows, and the job counted {rows[table]}; {ADVICE}"
        )
