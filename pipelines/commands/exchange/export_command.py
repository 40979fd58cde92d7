"""`beam export`: its options."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from schemas.settings import screen


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a feature store in a form that other programs read.

    Example: beam export out/llp --to npy --out llp/data
    npy: the LLP authors' layout, three folders of .npy and their lists, on which their programs
    and those built on them train. The new folder appears whole or not at all.
    """

    store: Annotated[str, tyro.conf.Positional]
    """Folder of the feature store."""
    to: Literal["npy"]
    """Form of the new folder."""
    out: str
    """The new folder; it must not be there yet."""


def run(options: Options, rest: list[str]) -> int:
    """Write the folder and print what it holds."""
    from pathlib import Path

    from pipelines.commands.exchange.npy_export import export_npy  # with Arrow
    from schemas import read_store_manifest

    manifest = read_store_manifest(Path(options.store))
    lines = export_npy(manifest, Path(options.out))
    for line in lines:
        screen.results().print(line, soft_wrap=True)
    return 0
