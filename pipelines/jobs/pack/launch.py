"""From the options of a pack to its end: what can be wrong with them shows here."""

import shutil
import time
from typing import Any

from pipelines.jobs.pack import pack
from pipelines.jobs.pack.command import Options
from pipelines.jobs.pack.graph import build
from pipelines.jobs.pack.summary import print_summary
from pipelines.runners.launch import check_out, run_to_end
from pipelines.runners.presets import check_reachable, choose_destination
from pipelines.store import files
from pipelines.store.feature_store import FeatureStore
from pipelines.store.locking import locked
from schemas import JobError, UsageError
from schemas.manifest import subset_id


def launch(options: Options, rest: list[str]) -> int:
    """Check the store, pack it, print what there was and what there is."""
    destination = choose_destination(options.runner, rest)
    if destination.remote:
        check_reachable({"--out": options.out})
    store = FeatureStore(files.absolute(options.out))
    before = read_manifest(store)
    check_out(store.out, "--out")
    with locked(store.out):
        started, most = time.monotonic(), int(options.shard_mb * 1e6)
        _check_whole(store, before)
        clips = _check_room(store, most)
        ended = run_to_end(
            lambda pipeline: build(pipeline, store.out, most, options.keep_parts), destination,
            store=store.out, label="pack", count=lambda: clips,
        )  # fmt: skip
        if ended:
            wall_s = time.monotonic() - started
            print_summary(store, before, read_manifest(store), clips, wall_s)
    return 0


def read_manifest(store: FeatureStore) -> dict[str, Any]:
    """Read the manifest; `UsageError` where there is no finished feature store."""
    if files.exists(files.join(store.out, "media.json")):
        raise UsageError(f"{store.out} holds media; pack joins tables of features")
    manifest = store.read_manifest()
    if store.identity() is None or manifest is None:
        raise UsageError(
            f"{store.out} holds no finished feature store; run beam run features --out on it first"
        )
    return manifest


def _check_whole(store: FeatureStore, manifest: dict[str, Any]) -> None:
    """Refuse a store whose last features job did not finish: a pack joins all or nothing."""
    state = store.state()
    said = manifest["subset_id"], manifest["counts"]["clips_failed"]
    if said != (subset_id(state.done), len(state.failed)):
        raise UsageError(
            f"the last job on {store.out} did not come to its end; run the same beam run features "
            "command again, then pack"
        )


def _check_room(store: FeatureStore, most: int) -> int:
    """Check that old and new files fit side by side; return the number of clips to pack."""
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
