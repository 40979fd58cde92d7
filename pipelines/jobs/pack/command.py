"""`beam run pack`: its options, and the job from its checks to its summary.

What is imported here is light, so that help and complaints come at once.
"""

import time
from dataclasses import dataclass
from typing import Annotated

from pipelines.jobs.options import RunnerOptions
from schemas.settings.bounds import AtLeast


@dataclass(frozen=True, kw_only=True)
class Options(RunnerOptions):
    """Join the many small parts of a feature store into few shards, for training on it.

    Example: beam run pack --out out/audioset
    or with four processes: beam run pack --out out/audioset
    --direct_running_mode multi_processing --direct_num_workers 4
    Readers find a whole store at any moment. Afterwards beam run features goes on with new clips as
    before, and the next pack joins theirs. Options that are not listed here go to Beam.
    """

    out: str
    """Folder or URI of the store."""
    shard_mb: Annotated[float, AtLeast(1)] = 256.0
    """Size of a shard of the largest table, in MB; the other tables' shards hold the same clips."""
    keep_parts: bool = False
    """Leave the small files until the next job, for a training that is reading them now."""


def run(options: Options, rest: list[str]) -> int:
    """Check the store, pack it, print what there was and what there is."""
    from pipelines.jobs.pack.graph import build
    from pipelines.jobs.pack.prepare import check_room, check_whole, read_manifest
    from pipelines.jobs.pack.summary import print_summary
    from pipelines.runners.graph import run_pipeline
    from pipelines.runners.launch import check_out, print_left
    from pipelines.runners.presets import check_reachable, choose_destination
    from pipelines.store import files
    from pipelines.store.feature_store import FeatureStore
    from pipelines.store.locking import locked
    from pipelines.store.progress import Progress

    destination = choose_destination(options.runner, rest)
    if destination.remote:
        check_reachable({"--out": options.out})
    store = FeatureStore(files.absolute(options.out))
    before = read_manifest(store)
    check_out(store.out, "--out")
    with locked(store.out):
        started, most = time.monotonic(), int(options.shard_mb * 1e6)
        check_whole(store, before)
        clips = check_room(store, most)
        with Progress(store.out, "pack", lambda: clips):
            run_pipeline(
                lambda pipeline: build(pipeline, store.out, most, options.keep_parts),
                destination.arguments,
            )
        if destination.leaves:
            return print_left(destination.leaves, store.out)
        print_summary(store, before, clips, time.monotonic() - started)
    return 0
