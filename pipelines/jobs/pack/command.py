"""`beam run pack`: its options, the checks before it, and what it leaves on the screen."""

import json
import shutil
import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.jobs.pack import pack
from pipelines.runners.launch import check_out, print_left, run_job
from pipelines.runners.presets import check_places, choose_destination
from pipelines.runners.summary import shown
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.locking import locked
from pipelines.store.progress import Progress
from pipelines.store.receipts import subset_id
from schemas import JobError, UsageError

_LEAST_MB = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """Join the many small parts of a feature store into few shards, for training on it.

    Example: beam run pack --out out/audioset
    or with four processes: beam run pack --out out/audioset
    --direct_running_mode multi_processing --direct_num_workers 4
    Readers find a whole store at any moment. Afterwards beam run features goes on with new clips as
    before, and the next pack joins theirs. Options that are not listed here go to Beam.
    """

    out: str
    """Folder or URI of the store."""
    shard_mb: float = 256.0
    """Size of a shard of the largest table, in MB; the other tables' shards hold the same clips."""
    keep_parts: bool = False
    """Leave the small files until the next job, for a training that is reading them now."""
    runner: str = "FnApiRunner"
    """Any Beam runner; DirectRunner means FnApiRunner here."""


def run(config: Config, rest: list[str]) -> int:
    """Check the store, pack it, print what there was and what there is."""
    options = (f"--{name.replace('_', '-')}" for name in Config.__dataclass_fields__)
    destination = choose_destination(config.runner, rest, options)
    if not _LEAST_MB <= config.shard_mb < float("inf"):
        raise UsageError(f"--shard-mb is {config.shard_mb:g}; it must be at least {_LEAST_MB}")
    if destination.remote:
        check_places({"--out": config.out})
    store = FeatureStore(files.absolute(config.out))
    before = _read_manifest(store)
    check_out(store.out, "--out")
    with locked(store.out):
        started, most = time.monotonic(), int(config.shard_mb * 1e6)
        _check_whole(store, before)
        clips = _check_room(store, most)
        with Progress(store.out, "pack", lambda: clips):
            run_job(lambda: _run(store.out, most, config.keep_parts, destination.arguments))
        if destination.leaves:
            return print_left(destination.leaves, store.out)
        _print_summary(store, before, clips, time.monotonic() - started)
    return 0


def _read_manifest(store: FeatureStore) -> dict[str, Any]:
    """What readers go by; `UsageError` where there is no finished feature store."""
    if files.exists(files.join(store.out, "media.json")):
        raise UsageError(f"{store.out} holds media; pack joins tables of features")
    path = files.join(store.out, "manifest.json")
    if store.identity() is None or not files.exists(path):
        raise UsageError(
            f"{store.out} holds no finished feature store; run beam run features --out on it first"
        )
    try:
        manifest: dict[str, Any] = json.loads(files.read(path))
    except ValueError as error:
        raise UsageError(
            f"{path} is not readable JSON ({error}); run the same beam run features command again"
        ) from None
    return manifest


def _check_whole(store: FeatureStore, manifest: dict[str, Any]) -> None:
    """See that the last features job came to its end: a pack leads readers to all or nothing."""
    state = store.state()
    said = manifest["subset_id"], manifest["counts"]["clips_failed"]
    if said != (subset_id(state.done), len(state.failed)):
        raise UsageError(
            f"the last job on {store.out} did not come to its end; run the same beam run features "
            "command again, then pack"
        )


def _check_room(store: FeatureStore, most: int) -> int:
    """See that old and new files fit side by side; how many clips there are to pack."""
    shards = pack.plan(store, most)
    units = {unit for shard in shards for unit in shard.units}
    moved = [receipt for receipt in store.receipts() if receipt.unit in units]
    need = sum(receipt.size for receipt in moved)
    if files.is_local(store.out) and need > shutil.disk_usage(store.out).free:
        raise JobError(
            f"the shards of {store.out} need {need / 1e9:,.1f} GB beside the parts that they are "
            f"made of, {shutil.disk_usage(store.out).free / 1e9:,.1f} GB are free; make room"
        )
    return sum(len(receipt.done) for receipt in moved)


def _run(out: str, most: int, keep_parts: bool, beam_args: list[str]) -> None:
    from pipelines.jobs.pack import graph as job

    job.run(out, most, keep_parts, beam_args)


def _print_summary(store: FeatureStore, before: dict[str, Any], clips: int, wall_s: float) -> None:
    console = Console()
    after = _read_manifest(store)
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
    console.print(f"{escape(shown(store.out))}: {done}.", highlight=False, soft_wrap=True)
