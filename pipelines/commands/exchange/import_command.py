"""`beam import`: its options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from schemas.machine.programs import command
from schemas.settings import screen


@dataclass(frozen=True, kw_only=True)
class Options:
    """Make a feature store out of what beam export --to webdataset or hf wrote.

    Example: beam import shards/llp --out out/llp
    Every file is compared with the sha256 that was taken when it was written, and the store is
    checked as beam validate does before it appears. Jobs go on with it as with the first one.
    """

    source: Annotated[str, tyro.conf.Positional]
    """Folder of the tar files, or of the data set of Hugging Face."""
    out: str
    """Folder of the new store; it must not be there yet."""


def run(options: Options, rest: list[str]) -> int:
    """Make the store and print what it holds."""
    from pipelines.commands.exchange.store_import import import_store  # with Beam

    counts = import_store(Path(options.source), Path(options.out))
    console = screen.results()
    console.print(
        f"{options.out}: {counts['clips_done']:,} of {counts['clips_in']:,} clips, "
        f"{counts['clips_failed']:,} failed",
        soft_wrap=True,
    )
    console.print(f"Next: {command('beam', 'validate', options.out)}", soft_wrap=True)
    return 0
