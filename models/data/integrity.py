"""Whether a store holds what its manifest says: an edited manifest must not pass for a whole store.

The features job writes the counts, the recipe's hash and the hash of the clip keys; a manifest that
was changed by hand, or that lies beside other parts, disagrees with one of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.data.parquet import open_part
from schemas import Recipe, StoreManifest, TableName, UsageError
from schemas.manifest import subset_id

ADVICE = "run `beam validate`, then the features job again"


def refuse_edited(manifest: StoreManifest, keys: Sequence[str]) -> None:
    """Raise `UsageError` when recipe, clips or snippets are not those of the finished job."""
    path = manifest.root / "manifest.json"
    try:
        Recipe.from_json(dict(manifest.data["recipe"]))
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path} does not say how the features were made ({error}); {ADVICE}"
        ) from None
    tables: tuple[TableName, ...] = ("clips", "snippets")
    for table in tables:
        refuse_miscounted(manifest, table)
    there = subset_id(keys)
    if there != manifest.subset_id:
        raise UsageError(
            f"{path} names subset {manifest.subset_id}, and the clips of its tables are subset "
            f"{there}; {ADVICE}"
        )


def refuse_miscounted(manifest: StoreManifest, table: TableName) -> None:
    """Raise `UsageError` when a part is listed twice, or a table has not the rows that it should.

    A manifest without a count for the table is taken at its word.
    """
    paths = manifest.paths(table)
    twice = _first_repeated(paths)
    if twice is not None:
        raise UsageError(f"{manifest.root / 'manifest.json'} lists {twice} twice; {ADVICE}")
    counts: Any = manifest.data.get("counts")
    rows = counts.get("rows") if isinstance(counts, dict) else None
    if not isinstance(rows, dict) or table not in rows:
        return
    there = sum(open_part(path).metadata.num_rows for path in paths)
    if there != rows[table]:
        raise UsageError(
            f"the parts of table {table} that {manifest.root / 'manifest.json'} lists have "
            f"{there:,} rows, and the job counted {rows[table]}; {ADVICE}"
        )


def _first_repeated(paths: Sequence[Path]) -> Path | None:
    seen: set[Path] = set()
    for path in paths:
        if path in seen:
            return path
        seen.add(path)
    return None
