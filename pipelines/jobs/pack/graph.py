"""`beam run pack` as a Beam graph: many small parts to a few large shards.

    receipts -> shards -> Reshuffle (names only) -> PackShard -> FinishPack

Rows go from file to file inside one step; only the names of units travel between steps.
"""

from collections.abc import Iterator

import apache_beam as beam

from pipelines.jobs.pack import pack
from pipelines.store.feature_store import FeatureStore
from pipelines.store.progress import ProgressFile


def build(pipeline: beam.Pipeline, out: str, most: int, keep_parts: bool) -> beam.PCollection[int]:
    """Add the job's steps; the result holds the number of shards once the manifest names them."""
    return (
        pipeline
        | "start" >> beam.Create([b"start"], reshuffle=False)
        | "plan shards" >> beam.ParDo(PlanShards(out, most)).with_output_types(bytes)
        | "spread" >> beam.Reshuffle()
        | "pack" >> beam.ParDo(PackShard(out)).with_output_types(bytes)
        | "count shards" >> beam.combiners.Count.Globally()
        | "finish" >> beam.ParDo(FinishPack(out, keep_parts)).with_output_types(int)
    )


class PlanShards(beam.DoFn):
    """Turn the one start element into the encoded shards to make: names only."""

    def __init__(self, out: str, most: int) -> None:
        self._store, self._most = FeatureStore(out), most

    def process(self, start: bytes) -> Iterator[bytes]:
        """Yield shards, as bytes."""
        for shard in pack.plan(self._store, self._most):
            yield shard.encode()


class PackShard(beam.DoFn):
    """Make and commit one shard."""

    def __init__(self, out: str) -> None:
        self._store, self._progress = FeatureStore(out), ProgressFile(out)

    def process(self, shard: bytes) -> Iterator[bytes]:
        """Yield the name of the shard once its receipt is written."""
        receipt = pack.pack(self._store, pack.Shard.decode(shard))
        self._progress.count(len(receipt.done))
        yield receipt.unit.encode()


class FinishPack(beam.DoFn):
    """Point the manifest to the shards; runs once, after every shard."""

    def __init__(self, out: str, keep_parts: bool) -> None:
        self._store, self._keep_parts = FeatureStore(out), keep_parts

    def process(self, n_shards: int) -> Iterator[int]:
        """Yield the number of shards once the manifest names them."""
        pack.finish(self._store, keep_parts=self._keep_parts)
        yield n_shards
