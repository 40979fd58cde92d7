"""`beam export`: its options."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from schemas.settings import screen
from schemas.settings.bounds import AtLeast

if TYPE_CHECKING:
    from schemas import StoreManifest


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a feature store in a form that other programs read.

    Example: beam export out/llp --to npy --out llp/data
    """

    store: Annotated[str, tyro.conf.Positional]
    """Folder of the feature store."""
    to: Literal["npy", "webdataset", "hf"]
    """Form of the new folder."""
    out: str
    """The new folder; it must not be there yet."""
    shard_mb: Annotated[float, AtLeast(1)] = 256.0
    """Size of a tar or Parquet file, in MB, about."""


def run(options: Options, rest: list[str]) -> int:
    """Write the folder and print what it holds."""
    from schemas import read_store_manifest  # with Arrow

    manifest = read_store_manifest(Path(options.store))
    for line in _export(manifest, options):
        screen.results().print(line, soft_wrap=True)
    return 0


def _export(manifest: "StoreManifest", options: Options) -> list[str]:
    out, shard_bytes = Path(options.out), int(options.shard_mb * 1e6)
    if options.to == "npy":
        from pipelines.commands.exchange.npy_export import export_npy

        return export_npy(manifest, out)
    if options.to == "hf":
        from pipelines.commands.exchange.hub_export import export_hub  # with Beam

        return export_hub(manifest, out, shard_bytes)
    from pipelines.commands.exchange.webdataset_export import export_webdataset  # with Beam

    return export_webdataset(manifest, out, shard_bytes)
