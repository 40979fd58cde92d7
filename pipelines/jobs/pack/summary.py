"""What a pack leaves on the screen: files and bytes of every table, before and now."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from pipelines.runners.screen import shown
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from schemas.settings import screen


def print_summary(
    store: FeatureStore,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    clips: int,
    wall_s: float,
) -> None:
    """Print the tables of a finished pack; `before` and `after` are manifests."""
    console = screen.results()
    table = Table("table", "files before", "files now", "MB", "largest", title="pack")
    for name, paths in after["tables"].items():
        sizes = files.sizes(files.join(store.out, name))
        held = [sizes.get(path.rsplit("/", 1)[1], 0) / 1e6 for path in paths]
        if held:
            table.add_row(
                name, f"{len(before['tables'][name]):,}", f"{len(paths):,}", f"{sum(held):,.1f}",
                f"{max(held):,.1f}",
            )  # fmt: skip
    console.print(table)
    done = f"{clips:,} clips packed in {wall_s:,.1f} s" if clips else "Nothing was left to pack"
    console.print(f"{shown(store.out)}: {done}.", soft_wrap=True)
